"""What the product costs to run, measured as CPU time per event."""
