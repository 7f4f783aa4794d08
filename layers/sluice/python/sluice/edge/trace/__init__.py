"""Asking Athena and the database about one event."""
