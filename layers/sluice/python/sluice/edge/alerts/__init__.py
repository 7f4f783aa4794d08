"""Incidents in the database, what is told of them, and what Valkey is told of them."""
