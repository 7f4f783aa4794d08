"""The commands for fleets' keys."""
