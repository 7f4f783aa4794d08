"""The rules of the database as those who judge read them."""

from typing import LiteralString

JUDGING_RULES: LiteralString = """
    SELECT fleet_id, rule_id, rule.version, metric, rule.device_type, device_id, kind, open, clear, breaches, "of",
        severity, fleet.device_type AS fleet_type
    FROM rule JOIN fleet USING (fleet_id)
    WHERE rule.archived_at IS NULL
"""
"""Rows that msgspec reads as SeriesRule; conditions may be added."""
