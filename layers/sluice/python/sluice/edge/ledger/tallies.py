"""Counts of outcomes: rows are only ever inserted, so that no transaction waits for another."""

from collections import Counter

from sluice.core.ledger.groups import LedgerGroup
from sluice.edge.database import Connection

_COUNT = """
    INSERT INTO outcome (consumer, fleet_id, received_hour, contract, schema_version, outcome, events)
    SELECT %s, fleet_id, received_hour, contract, schema_version, outcome, events
    FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::integer[], %s::text[], %s::bigint[])
        AS tally (fleet_id, received_hour, contract, schema_version, outcome, events)
"""

_LIST = """
    INSERT INTO unknown_field (fleet_id, received_hour, contract, schema_version, field, events)
    SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::integer[], %s::text[], %s::bigint[])
"""


def count_outcomes(connection: Connection, consumer: str, outcomes: Counter[tuple[LedgerGroup, str]]) -> None:
    """Add outcomes of events; a negative number subtracts an earlier count."""
    if happened := Counter({key: events for key, events in outcomes.items() if events}):
        connection.execute(_COUNT, (consumer, *_columns(happened)))


def list_undeclared(connection: Connection, fields: Counter[tuple[LedgerGroup, str]]) -> None:
    """Add undeclared fields."""
    if fields:
        connection.execute(_LIST, _columns(fields))


def _columns(tallies: Counter[tuple[LedgerGroup, str]]) -> tuple[list[object], ...]:
    rows = [
        (group.fleet_id, group.received_hour, group.contract, group.schema_version, name, events)
        for (group, name), events in tallies.items()
    ]
    return tuple(list(column) for column in zip(*rows, strict=True))
