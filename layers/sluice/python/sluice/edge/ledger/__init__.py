"""Counting what is stored, holding it against the brokers' offsets, and running again what is missing."""
