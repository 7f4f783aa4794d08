"""Counting stored records, comparing them with the brokers' offsets, and rerunning missing ones."""
