"""Posting a probe event, reading it back, and the keys for both."""
