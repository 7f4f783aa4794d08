"""The rules as pure functions on plain values: no service, no clock, no environment."""
