"""The delivery streams."""
