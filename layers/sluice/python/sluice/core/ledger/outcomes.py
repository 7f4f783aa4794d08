"""What may become of an accepted event, and what events are counted by."""

from datetime import datetime

import msgspec

ARCHIVED, COUNTED, LATE, DUPLICATE, DEAD_LETTERED = "archived", "counted", "late", "duplicate", "dead_lettered"

ENDS: dict[str, tuple[str, ...]] = {
    "archive": (ARCHIVED, DEAD_LETTERED),
    "aggregate": (COUNTED, LATE, DUPLICATE, DEAD_LETTERED),
}
"""By who decides it: exactly one of these."""


class Group(msgspec.Struct, frozen=True, order=True):
    """What events are counted by."""

    fleet_id: str
    received_hour: datetime
    contract: str
    schema_version: int


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of an hour."""
    return moment.replace(minute=0, second=0, microsecond=0)
