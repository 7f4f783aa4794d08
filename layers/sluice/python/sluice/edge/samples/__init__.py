"""Samples in the database, and what aggregate writes beside them."""
