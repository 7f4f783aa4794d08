"""The statements of a swap, read from their files."""

from pathlib import Path
from typing import Any

from psycopg import sql

OF_SHARD = sql.SQL("g.shard = %(shard)s")
"""Whose events are chosen: those of a shard's devices."""
OF_FLEETS = sql.SQL("""
    g.shard = ANY(ARRAY(SELECT shard.shard FROM shard))
    AND g.entity_key IN (
        SELECT device.entity_key
        FROM entity AS fleet
        INNER JOIN entity AS device ON device.fleet_id = fleet.fleet_id
        WHERE fleet.shard = %(shard)s AND fleet.device_id IS NULL
    )
""")
"""Those of all devices of a shard's fleets."""


def read_statement(name: str) -> sql.SQL:
    """Read a statement from its file."""
    text: Any = (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
    return sql.SQL(text)
