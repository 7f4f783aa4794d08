"""Notifying people of incidents: destinations, and the forms that they read."""
