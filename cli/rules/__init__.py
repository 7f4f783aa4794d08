"""The commands for rules."""
