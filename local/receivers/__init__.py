"""Servers that people are told by: Slack and PagerDuty as their documentation has them, and one of a fleet's own."""
