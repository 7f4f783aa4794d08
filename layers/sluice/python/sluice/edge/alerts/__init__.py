"""Incidents in the database, the messages about them, and the hints in Valkey."""
