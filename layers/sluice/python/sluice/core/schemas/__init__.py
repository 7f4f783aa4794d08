"""Versions of contracts before they are used: what a schema may be, and what it would break."""
