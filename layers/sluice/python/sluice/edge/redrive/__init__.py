"""The parts of a re-drive that reach stores: reading dead letters, its tables, and sending fixed events."""
