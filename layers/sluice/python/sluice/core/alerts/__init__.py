"""Incidents: when breaches open one, which messages are written about it, and when it ends."""
