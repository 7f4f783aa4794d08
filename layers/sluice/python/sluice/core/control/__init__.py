"""The control plane: fleets and keys as admins change them, the audit of each change, and its signed checkpoints."""
