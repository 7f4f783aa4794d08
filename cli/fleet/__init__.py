"""The commands for fleets."""
