"""What tests of several folders use: clients, a ledger of their own, and checks."""
