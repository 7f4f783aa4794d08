"""Ids that recur: finding them among millions of events, and which of an id's copies is the first."""
