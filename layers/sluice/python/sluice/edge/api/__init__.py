"""Whose request it is, how much of that fleet's is admitted, and the page's files."""
