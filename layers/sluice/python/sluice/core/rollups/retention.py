"""How long the database keeps each kind of row, and when it may delete it."""

from datetime import UTC, datetime, timedelta

import msgspec


class Terms(msgspec.Struct, frozen=True):
    """The retention of each kind of row."""

    sample: timedelta
    """Longer than an event can be in flight, by a margin in which windows can still be recomputed."""
    waiting_sample: timedelta
    """The limit when roll has a backlog and windows still wait for their samples."""
    change: timedelta
    outcome: timedelta
    sighting: timedelta
    summary: timedelta

    def list_expired(self, floor: datetime, now: datetime) -> tuple[tuple[str, str, datetime], ...]:
        """List the expired rows: for a table, those whose column is before a moment."""
        return (
            ("change", "changed_at", now - self.change),
            # An id is known for as long as its sample is kept.
            ("settled_event", "received_at", floor),
            ("outcome", "received_hour", now - self.outcome),
            ("dead_lettered_record", "received_hour", now - self.outcome),
            ("counted_back", "counted_at", now - self.outcome),
            ("unknown_field", "received_hour", now - self.outcome),
            ("counted_object", "counted_at", now - self.outcome),
            # No replay reaches back to hours before those that raw still holds.
            ("late_object", "hour", now - self.outcome),
            # A day's objects are counted within the next day; later, a letter that is delivered again counts again.
            ("counted_letter", "day", now - self.change),
            ("sighting", "last_seen_at", now - self.sighting),
            # An open incident has no end yet. What belongs to one leaves with it.
            ("incident", "resolved_at", now - self.outcome),
            ("series_state", "heard_at", now - self.outcome),
            ("silence", "until", now - self.outcome),
            ("delivery", "at", now - self.outcome),
            ("rollup_1d", "window_start", now - self.summary),
        )


def place_floor(now: datetime, oldest_waiting: datetime | None, terms: Terms) -> datetime:
    """Return the hour from which samples stay: older ones expire, unless a window still waits for them."""
    floor = now - terms.sample
    if oldest_waiting is not None:
        floor = max(min(floor, oldest_waiting), now - terms.waiting_sample)
    return floor.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
