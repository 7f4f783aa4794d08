"""Posting the probe's event, reading it back, and the keys for both."""
