"""The probe event: one a minute that is posted as a device posts, and read back as a reader reads."""
