"""Tracing one event: the question, and the event's outcome."""
