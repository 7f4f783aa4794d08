"""What every function of Sluice shares: a pure core, and an edge that talks to services."""
