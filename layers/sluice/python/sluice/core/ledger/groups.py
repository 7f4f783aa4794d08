"""The groups by which the ledger counts events."""

from datetime import UTC, datetime

import msgspec

INGEST, REJECTED = "ingest", "rejected"
"""Events that ingest rejected; the statement lists them next to the consumers' accounts."""


class LedgerGroup(msgspec.Struct, frozen=True, order=True):
    """The key by which events are counted."""

    fleet_id: str
    received_hour: datetime
    contract: str
    schema_version: int


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of an hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
