"""An event: its contract (one of three), its identity, and the one header that we add."""
