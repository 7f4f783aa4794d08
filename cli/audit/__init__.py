"""The commands for the audit of the control plane."""
