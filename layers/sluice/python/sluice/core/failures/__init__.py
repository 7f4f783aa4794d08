"""Everything that went no further: who is to blame, how much may be put aside, and the one form of a dead letter."""
