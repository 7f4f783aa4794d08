"""The state machines: which function does which step, and what follows."""
