"""`sluice alerts`: incidents, why someone was woken or not, and silences."""
