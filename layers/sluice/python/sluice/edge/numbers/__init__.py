"""Samples and rollups in the database, and old rollups in files."""
