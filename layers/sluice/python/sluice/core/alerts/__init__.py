"""Incidents: when breaches open one, what it is told, and when it ends."""
