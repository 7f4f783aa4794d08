"""Times and how far we trust them. All are aware datetimes in UTC."""

from datetime import UTC, datetime, timedelta

from sluice.core.errors import Rejection

CLOCK_AHEAD = "clock_ahead"
LATE_ARRIVAL = "late_arrival"


def parse_time(text: str) -> datetime:
    """Read a time; the contract's pattern has already checked its form."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        # The pattern accepts times that only a calendar can refuse: month 13, or year 9999 west of Greenwich.
        raise Rejection("invalid_time", f"{text!r} is not a time that exists: {error}") from error


def time_flags(event_time: datetime, received_at: datetime, ahead: timedelta, late: timedelta) -> tuple[str, ...]:
    """Return flags for a device clock that runs ahead and for an event that is late."""
    if event_time - received_at > ahead:
        return (CLOCK_AHEAD,)
    if received_at - event_time > late:
        return (LATE_ARRIVAL,)
    return ()


def write_time(moment: datetime) -> str:
    """Write a time in the form of all our outputs: UTC, microseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def write_optional(moment: datetime | None) -> str | None:
    """Write a time that may not be known."""
    return None if moment is None else write_time(moment)
