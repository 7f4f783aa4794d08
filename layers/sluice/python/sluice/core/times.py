"""When something happened, and what we may believe of it. Times are aware datetimes in UTC."""

from datetime import UTC, date, datetime, timedelta

from sluice.core.errors import Rejection

CLOCK_AHEAD = "clock_ahead"
LATE_ARRIVAL = "late_arrival"


def parse_time(text: str) -> datetime:
    """Read a time whose form the contract's pattern has already checked."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        # The pattern lets through what only a calendar can refuse: month 13, or year 9999 west of Greenwich.
        raise Rejection("invalid_time", f"{text!r} is not a time that exists: {error}") from error


def time_flags(event_time: datetime, received_at: datetime, ahead: timedelta, late: timedelta) -> tuple[str, ...]:
    """Say whether the device's clock runs ahead or its event comes late."""
    if event_time - received_at > ahead:
        return (CLOCK_AHEAD,)
    if received_at - event_time > late:
        return (LATE_ARRIVAL,)
    return ()


def write_time(moment: datetime) -> str:
    """Write a time as every output of ours does: UTC, microseconds, Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def write_optional(moment: datetime | None) -> str | None:
    """Write a time that may not be known."""
    return None if moment is None else write_time(moment)


def day_of(moment: datetime) -> date:
    """Name the UTC day a time falls on."""
    return moment.astimezone(UTC).date()
