"""The control plane: changes of fleets and keys with their audit entries, publishing them, and signed checkpoints."""
