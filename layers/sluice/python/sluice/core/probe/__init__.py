"""The probe: an event a minute that is posted as a device posts, and read back as a reader reads."""
