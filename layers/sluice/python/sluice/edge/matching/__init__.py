"""Ids that recur: the ids of raw files, the arrays of earlier ones in the control bucket, and what is settled."""
