"""From a stored record to a row of the raw table."""
