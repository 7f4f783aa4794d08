"""The control plane: changes of fleets and keys, each in one transaction with its audit entry."""
