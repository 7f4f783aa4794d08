"""Servers that notify people: Slack and PagerDuty as their documentation has them, and one of a fleet's own."""
