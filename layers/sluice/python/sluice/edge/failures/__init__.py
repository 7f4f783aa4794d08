"""Processing batches that may contain failing records, and quarantining those records."""
