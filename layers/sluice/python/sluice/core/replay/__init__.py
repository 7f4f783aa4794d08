"""Replays: what a plan says, which hours it covers, and the records that carry stored events to recount."""
