"""The devices that a rule is for, in an order that is the same each time and has nothing to do with their names."""

from typing import LiteralString

import msgspec

from sluice.core.detect.defaults import DEFAULT
from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import SeriesRule
from sluice.edge.backtest.reading import Device
from sluice.edge.database import Connection
from sluice.edge.detect.stored_rules import JUDGING_RULES

_DEVICES = """
    SELECT entity_key, e.device_id, first_seen_at, t.device_type FROM entity AS e
    LEFT JOIN device_type AS t ON t.fleet_id = e.fleet_id AND t.device_id = e.device_id COLLATE "C"
    WHERE e.fleet_id = %(fleet)s AND e.device_id IS NOT NULL
    AND (%(device)s::text IS NULL OR e.device_id = %(device)s)
    ORDER BY md5(e.device_id), e.device_id
"""
_RIVALS: LiteralString = f"""
    SELECT coalesce(json_agg(found), '[]')::text FROM (
        {JUDGING_RULES} AND fleet_id = %s AND kind = %s AND metric = %s AND rule_id <> %s
    ) AS found
"""  # noqa: S608 - a constant


def list_devices(connection: Connection, rule: SeriesRule) -> list[Device]:
    """List the devices that would be judged by a rule: those for which no other rule of its kind counts."""
    rows = connection.execute(_DEVICES, {"fleet": rule.fleet_id, "device": rule.device_id})
    devices = [(Device(*row), device_type) for *row, device_type in rows]
    if rule.rule_id.startswith(DEFAULT):
        # Whatever rules replace it today, these are the devices whose incidents it would have opened.
        return [one for one, _ in devices]
    fleet_type = connection.execute("SELECT device_type FROM fleet WHERE fleet_id = %s", [rule.fleet_id]).fetchone()
    tested = msgspec.structs.replace(rule, fleet_type=fleet_type[0] if fleet_type else None)
    row = connection.execute(_RIVALS, [rule.fleet_id, rule.kind, rule.metric, rule.rule_id]).fetchone()
    rivals = msgspec.json.decode(row[0] if row else "[]", type=list[SeriesRule])
    # Of two for the same devices the last one counts.
    book = Rulebook([*rivals, tested])
    return [
        one
        for one, device_type in devices
        if tested in book.rules_for(rule.fleet_id, device_type, one.device_id, rule.metric)
    ]
