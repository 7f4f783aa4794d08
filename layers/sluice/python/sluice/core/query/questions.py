"""The readers' questions, read from the route and the query string and bounded before any lookup."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec

from sluice.core.errors import Refusal
from sluice.core.query.cursors import MOST_CHARACTERS, read_cursor, write_cursor
from sluice.core.query.parameters import Parameters
from sluice.core.rollups.resolutions import MOST_WINDOWS, RESOLUTIONS, WIDTHS, Resolution, ceil_to, floor_to

MOST_METRICS = 20
MOST_NAME = 64
MOST_DEVICE = 128
DEFAULT_RANGE = timedelta(hours=1)
LONGEST_RANGE = timedelta(days=800)  # two years and some
MOST_MINUTES = 60
MOST_ITEMS = 1000
DEFAULT_ITEMS = 100
MOST_CHANGES = 1000
AUTO = "auto"

_GROUP = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")

Epoch = Annotated[int, msgspec.Meta(ge=0, le=7_258_118_400)]


class Subject(msgspec.Struct, frozen=True):
    """The entity of the numbers: a device, a group, or the fleet as a whole."""

    fleet_id: str
    device_id: str | None = None
    group_id: str | None = None


class Recent(msgspec.Struct, frozen=True):
    """The samples of the last minutes; no metrics means all metrics."""

    subject: Subject
    metrics: tuple[str, ...]


class PageSpan(msgspec.Struct, frozen=True, array_like=True):
    """A range of whole windows that is read page by page, and the start of the next page."""

    resolution: Resolution
    start: Epoch
    end: Epoch
    next: Epoch

    def __post_init__(self) -> None:
        """Refuse values that no valid cursor has."""
        width = int(WIDTHS[self.resolution].total_seconds())
        whole = not any(moment % width for moment in (self.start, self.next, self.end))
        if not (whole and self.start <= self.next < self.end):
            raise ValueError("a span is made of whole windows, and continues within itself")


class Rollups(msgspec.Struct, frozen=True):
    """Windows of a range; the resolution or the cursor gives the span."""

    subject: Subject
    metrics: tuple[str, ...]
    start: datetime
    end: datetime
    resolution: Resolution | None  # None: the one that fits the range
    limit: int
    span: PageSpan | None

    def spanned(self, resolution: Resolution) -> PageSpan:
        """Widen the range to whole windows, for the first page."""
        width = WIDTHS[resolution]
        start = int(floor_to(self.start, width).timestamp())
        return PageSpan(resolution, start, int(ceil_to(self.end, width).timestamp()), start)

    def goes_on(self, span: PageSpan, at: datetime) -> str | None:
        """Write the cursor of the next page, or return None after the last one."""
        if int(at.timestamp()) >= span.end:
            return None
        return write_cursor(_name(self.subject, self.metrics), msgspec.structs.replace(span, next=int(at.timestamp())))


class DevicePlace(msgspec.Struct, frozen=True, array_like=True):
    """The position in a list of devices that a cursor names: the last device of the page."""

    device_id: str


class Devices(msgspec.Struct, frozen=True):
    """The devices of a fleet, ordered by name."""

    fleet_id: str
    limit: int
    after: str

    def goes_on(self, after: str) -> str:
        """Write the cursor of the next page."""
        return write_cursor(f"devices {self.fleet_id}", DevicePlace(after))


class ChangePlace(msgspec.Struct, frozen=True, array_like=True):
    """The last change that a reader has received, and when."""

    transaction_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    change_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    told_at: Epoch


class Changes(msgspec.Struct, frozen=True):
    """Windows that were rolled since the cursor; without one, since now."""

    fleet_id: str
    limit: int
    after: ChangePlace | None

    def goes_on(self, after: ChangePlace) -> str:
        """Write the cursor of the next page."""
        return write_cursor(f"changes {self.fleet_id}", after)


def name_group(group_id: str) -> str:
    """Return a group's name, if a directory may use it."""
    if not _GROUP.fullmatch(group_id):
        raise Refusal(404, "group_unknown", "There is no group of this name.")
    return group_id


def ask_nothing(query: str) -> None:
    """Refuse parameters on a route that has none."""
    Parameters(query, ())


def read_recent(fleet_id: str, query: str) -> Recent:
    """Read a question about the last minutes."""
    parameters = Parameters(query, ("device", "group", "metric"))
    subject = _subject(fleet_id, parameters)
    if subject.device_id is None and subject.group_id is None:
        raise Refusal(400, "missing_parameter", "Give the parameter device or group.", "device")
    return Recent(subject, parameters.texts("metric", MOST_NAME, MOST_METRICS))


def read_baselines(fleet_id: str, query: str) -> Subject:
    """Read of which device baselines are asked for."""
    device = Parameters(query, ("device",)).text("device", MOST_DEVICE)
    if device is None:
        raise Refusal(400, "missing_parameter", "Give the parameter device.", "device")
    return Subject(fleet_id, device)


def read_rollups(fleet_id: str, query: str, now: datetime) -> Rollups:
    """Read a question about a range."""
    parameters = Parameters(query, ("device", "group", "metric", "from", "to", "resolution", "limit", "cursor"))
    subject = _subject(fleet_id, parameters)
    metrics = tuple(sorted(parameters.texts("metric", MOST_NAME, MOST_METRICS)))
    end = parameters.moment("to", now)
    start = parameters.moment("from", end - DEFAULT_RANGE)
    if not timedelta(0) < end - start <= LONGEST_RANGE:
        raise Refusal(
            400, "invalid_parameter", f"from: it must be before to, by at most {LONGEST_RANGE.days} days.", "from"
        )
    chosen = parameters.choice("resolution", (AUTO, *RESOLUTIONS), AUTO)
    cursor = parameters.text("cursor", MOST_CHARACTERS)
    return Rollups(
        subject,
        metrics,
        start,
        end,
        next((resolution for resolution in RESOLUTIONS if resolution == chosen), None),
        parameters.whole("limit", 1, MOST_WINDOWS, MOST_WINDOWS),
        None if cursor is None else read_cursor(cursor, _name(subject, metrics), PageSpan),
    )


def read_devices(fleet_id: str, query: str) -> Devices:
    """Read a question about devices."""
    parameters = Parameters(query, ("limit", "cursor"))
    cursor = parameters.text("cursor", MOST_CHARACTERS)
    after = "" if cursor is None else read_cursor(cursor, f"devices {fleet_id}", DevicePlace).device_id
    return Devices(fleet_id, parameters.whole("limit", 1, MOST_ITEMS, DEFAULT_ITEMS), after)


def read_counters(query: str) -> int:
    """Read the number of minutes asked for."""
    return Parameters(query, ("minutes",)).whole("minutes", 1, MOST_MINUTES, 5)


def read_changes(fleet_id: str, query: str, now: datetime, kept: timedelta) -> Changes:
    """Read from where changes are asked for, if they still exist."""
    parameters = Parameters(query, ("limit", "cursor"))
    cursor = parameters.text("cursor", MOST_CHARACTERS)
    after = None if cursor is None else read_cursor(cursor, f"changes {fleet_id}", ChangePlace)
    if after is not None and datetime.fromtimestamp(after.told_at, UTC) < now - kept:
        raise refuse_expired()
    return Changes(fleet_id, parameters.whole("limit", 1, MOST_CHANGES, DEFAULT_ITEMS), after)


def read_day(query: str, now: datetime) -> date:
    """Read the day of the statement asked for."""
    return Parameters(query, ("day",)).day("day", now.astimezone(UTC).date())


def refuse_expired() -> Refusal:
    """Refuse an expired cursor: its reader must start again."""
    return Refusal(
        410,
        "cursor_expired",
        "The changes since this cursor are no longer kept. Fetch all windows again, and continue without a cursor.",
        "cursor",
    )


def _subject(fleet_id: str, parameters: Parameters) -> Subject:
    device, group = parameters.text("device", MOST_DEVICE), parameters.text("group", MOST_NAME)
    if device is not None and group is not None:
        raise Refusal(400, "conflicting_parameters", "Ask for a device or for a group, not for both.", "group")
    return Subject(fleet_id, device, None if group is None else name_group(group))


def _name(subject: Subject, metrics: tuple[str, ...]) -> str:
    """Name a question by everything that must stay the same from page to page."""
    named: tuple[Any, ...] = ("rollups", subject.fleet_id, subject.device_id, subject.group_id, metrics)
    return msgspec.json.encode(named).decode()
