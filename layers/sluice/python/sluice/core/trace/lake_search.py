"""The question that trace asks of the files, and the answer of seek: an event's stored copies and dead letters."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Literal

import msgspec

from sluice.core.events.identity import same_id
from sluice.core.records import Origin
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL

MOST_ROWS = 100
"""The most rows of each kind; the queries ask for one more, to know whether there are more."""

Cells = Mapping[str, str | None]
"""A row as Athena writes it: every value as text."""

Problem = Literal["timeout", "too_much", "unavailable"]


class EventSearch(msgspec.Struct, frozen=True):
    """One event among the arrivals of some days, both included; without a fleet or a device, of any."""

    event_id: str
    fleet_id: str | None
    device_id: str | None
    first: date
    last: date
    correlation_id: str = ""
    """The asking request's correlation id; an older release of trace sends none."""

    def parameters(self) -> list[str]:
        """Return the values for the placeholders; both queries have the same ones."""
        fleet, device = self.fleet_id or "", self.device_id or ""
        return [self.event_id, fleet, fleet, device, device, self.first.isoformat(), self.last.isoformat()]


class StoredCopy(msgspec.Struct, frozen=True):
    """A row of raw_events: one copy of the event, in one file."""

    origin: Origin
    fleet_id: str
    device_id: str
    received_at: datetime
    event_time: datetime | None
    flags: tuple[str, ...]
    contract: str
    schema_version: int
    firmware: str | None
    event_type: str
    correlation_id: str
    variant: int
    """Copies of one device's event with the same number have the same bytes."""
    file: str


class LetterFacts(msgspec.Struct, frozen=True):
    """The facts in a dead letter, independent of its file."""

    letter_id: str
    reason: str
    detail: str
    consumer: str
    attempts: int
    failed_at: datetime
    event_size: int
    correlation_id: str | None
    origin: Origin | None


class StoredLetter(LetterFacts, frozen=True):
    """A row of dead_letters, in one file."""

    fleet_id: str | None
    device_id: str | None
    file: str


class SearchResult(msgspec.Struct, frozen=True):
    """What was found; None marks a source that could not be read, and the problem says why."""

    copies: tuple[StoredCopy, ...] | None = None
    letters: tuple[StoredLetter, ...] | None = None
    problem: Problem | None = None
    detail: str = ""


def read_copy(cells: Cells) -> StoredCopy:
    """Read a row of event_by_id."""
    flags = ((CLOCK_AHEAD, cells["clock_ahead"]), (LATE_ARRIVAL, cells["late_arrival"]))
    typed = {
        "origin": _origin(cells),
        "received_at": _moment(cells["received_at"]),
        "event_time": _event_time(cells["event_time"]),
        "flags": tuple(flag for flag, raised in flags if raised == "true"),
    }
    return msgspec.convert({**cells, **typed}, StoredCopy, strict=False)


def read_letters(rows: Iterable[Cells], event_id: str) -> tuple[StoredLetter, ...]:
    """Read the rows of dead_letters_by_id for this event: the query ignores the case of ids."""
    return tuple(_read_letter(cells) for cells in rows if same_id(cells["event_id"] or "") == event_id)


def _read_letter(cells: Cells) -> StoredLetter:
    origin = _origin(cells)
    placed = None not in origin.values()
    typed = {"origin": origin if placed else None, "failed_at": _moment(cells["failed_at"])}
    return msgspec.convert({**cells, **typed}, StoredLetter, strict=False)


def _origin(cells: Cells) -> Cells:
    return {"topic": cells["kafka_topic"], "partition": cells["kafka_partition"], "offset": cells["kafka_offset"]}


def _moment(text: str | None) -> datetime | None:
    """Read a timestamp, which has no zone and is UTC."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def _event_time(text: str | None) -> datetime | None:
    """Read a device's own time, which may be out of range."""
    try:
        return _moment(text)
    except ValueError:
        return None
