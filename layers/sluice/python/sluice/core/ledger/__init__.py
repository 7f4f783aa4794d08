"""The ledger: accepted against stored events, reruns of missing ones, and daily statements."""
