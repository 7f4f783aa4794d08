"""A simulated fleet: devices of every firmware, their faults and bursts, and a view of what the pipeline answers."""
