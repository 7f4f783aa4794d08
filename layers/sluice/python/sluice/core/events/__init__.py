"""An event: the three contracts it may be of, its identity, and the one header of ours it bears."""
