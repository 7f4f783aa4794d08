"""Whether a time of reception can be true. Only a fault of ours or a foreign writer names one that cannot."""

from datetime import UTC, datetime

from sluice.core.errors import Poison
from sluice.core.limits import Limits

# Before it, this pipeline did not exist. Hours before year 1 could not even be written.
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)


def latest_reception(now: datetime) -> datetime:
    """Return the latest credible reception: clocks of ours may differ as much as a device's may run ahead."""
    return now + Limits().clock_ahead


def is_credible(received_at: datetime, now: datetime) -> bool:
    """Return whether an event can have been received at a time."""
    return EARLIEST <= received_at <= latest_reception(now)


def check_reception(received_at: datetime, now: datetime) -> None:
    """Refuse an event whose reception cannot be true."""
    if received_at > latest_reception(now):
        # The latest reception decides which windows are closed: one record must not close future windows.
        raise Poison(f"the event was received at {received_at}, which is yet to come")
    if received_at < EARLIEST:
        raise Poison(f"the event was received at {received_at}, before this pipeline existed")
