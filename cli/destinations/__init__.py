"""The commands for destinations of notifications."""
