"""Failed records: which one is at fault, how many may be quarantined, and the one form of a dead letter."""
