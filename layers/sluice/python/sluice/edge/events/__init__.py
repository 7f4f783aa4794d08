"""The contracts as shipped with the code."""
