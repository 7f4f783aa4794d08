"""`sluice notifications`: those that were given up."""
