"""The commands for versions of contracts."""
