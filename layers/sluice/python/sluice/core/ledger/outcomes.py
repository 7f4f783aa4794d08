"""What the ledger counts events by."""

from datetime import datetime

import msgspec

INGEST, REJECTED = "ingest", "rejected"
"""Events that ingest rejected are in the statement beside the consumers' accounts."""


class Group(msgspec.Struct, frozen=True, order=True):
    """What events are counted by."""

    fleet_id: str
    received_hour: datetime
    contract: str
    schema_version: int


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of an hour."""
    return moment.replace(minute=0, second=0, microsecond=0)
