"""Re-driving dead letters: their groups, what would pass, fixes in five verbs, and the record of a fixed event."""
