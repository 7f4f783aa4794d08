"""Asking the database, the cache and the directory what readers want to know."""
