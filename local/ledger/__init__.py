"""What the ledger says, and running a consumer again by hand; here and of a deployed stage."""
