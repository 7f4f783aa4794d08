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

    def list_expired(self, floor: datetime, now: datetime) -> tuple[tuple[str, str, datetime], ...]:
        """List the rows whose use is over: of a table those whose column is before a moment."""
        return (
            ("change", "changed_at", now - self.change),
            # An id is known for as long as its sample is kept.
            ("settled_event", "received_at", floor),
            ("outcome", "received_hour", now - self.outcome),
            ("unknown_field", "received_hour", now - self.outcome),
            ("counted_object", "counted_at", now - self.outcome),
            # Objects of a day are counted within the next; beyond that, a letter that comes again counts again.
            ("counted_letter", "day", now - self.change),
            ("sighting", "last_seen_at", now - self.sighting),
            ("rollup_1d", "window_start", now - self.summary),
        )


def place_floor(now: datetime, oldest_waiting: datetime | None, terms: Terms) -> datetime:
    """Say from which hour on samples stay: their term is over, unless a window still waits to be rolled from them."""
    floor = now - terms.sample
    if oldest_waiting is not None:
        floor = max(min(floor, oldest_waiting), now - terms.waiting_sample)
    return floor.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
