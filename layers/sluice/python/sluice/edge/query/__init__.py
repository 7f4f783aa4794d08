"""Answering readers from the database, the cache and the directory."""
