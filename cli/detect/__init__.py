"""The commands for anomalies."""
