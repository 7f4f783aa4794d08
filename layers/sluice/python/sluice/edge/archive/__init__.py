"""The delivery stream."""
