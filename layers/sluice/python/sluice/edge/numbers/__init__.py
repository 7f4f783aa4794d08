"""Samples and rollups in the database and, when they are old, in files."""
