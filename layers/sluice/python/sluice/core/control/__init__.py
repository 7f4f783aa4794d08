"""The control plane: fleets and keys as admins change them, and the audit of each change."""
