"""Accepted against stored: what is missing, how it is run again, and the statement of a day."""
