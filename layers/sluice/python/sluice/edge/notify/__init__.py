"""Notifying people of incidents: destinations and their secrets, queues, attempts, and what was delivered."""
