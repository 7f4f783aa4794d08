"""How long the database keeps what, and from when on it may let go of it."""

from datetime import UTC, datetime, timedelta

import msgspec


class Terms(msgspec.Struct, frozen=True):
    """For how long each kind of row is of use."""

    sample: timedelta
    """Longer than an event can be under way, by a margin in which windows can still be computed again."""
    waiting_sample: timedelta
    """At most, where roll has fallen behind and windows still wait for their samples."""
    change: timedelta
    outcome: timedelta
    sighting: timedelta
    summary: timedelta


def place_floor(now: datetime, oldest_waiting: datetime | None, terms: Terms) -> datetime:
    """Say from which hour on samples stay: their term is over, unless a window still waits to be rolled from them."""
    floor = now - terms.sample
    if oldest_waiting is not None:
        floor = max(min(floor, oldest_waiting), now - terms.waiting_sample)
    return floor.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
