"""The outcome of one event, from the stores: of each of its copies, and of its numbers.

Of several copies, the first by offset counts in the numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import asdict

from sluice.core.query.completeness import Reason, State
from sluice.core.records import Origin
from sluice.core.rollups.resolutions import Resolution
from sluice.core.times import LATE_ARRIVAL, write_time
from sluice.core.trace.counting import effective_time, find_counted, is_same_time
from sluice.core.trace.incidents import TracedIncident
from sluice.core.trace.lake_search import MOST_ROWS, LetterFacts, Problem, SearchResult, StoredCopy, StoredLetter

AGGREGATE, INGEST = "aggregate", "ingest"

Verdict = Literal["accepted", "dead_lettered", "rejected", "never_received", "unknown"]
Outcome = Literal[
    "counted",
    "late",
    "duplicate",
    "conflict",
    "dead_lettered",
    "in_flight",
    "passed_over",
    "unexplained",
    "unknown",
]
Progress = Literal["done", "passed_over", "in_flight"]
Source = Literal["raw", "dead_letters", "numbers"]

MOST_DEVICES = 10
"""The most devices whose numbers one answer reports: few fleets let several devices use one id."""

_WEIGHT: dict[Verdict, int] = {"accepted": 0, "dead_lettered": 1, "rejected": 2}


class Asked(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """The question as it was read."""

    event_id: str
    fleet_id: str | None
    device_id: str | None
    first: date
    last: date


class TracedWindow(msgspec.Struct, frozen=True):
    """A window of the device that contains the event's numbers; `moved` if it moved from the database to files."""

    resolution: Resolution
    window_start: datetime
    state: State | Literal["moved"]
    reason: Reason | None


class TracedReplay(msgspec.Struct, frozen=True):
    """A replay of the hour of a sample."""

    replay_id: str
    state: str
    ended_at: datetime | None
    kept: bool
    """Whether the sample was there before the replay began, and is still the same."""


class TracedSample(msgspec.Struct, frozen=True):
    """The source of numbers: the event at the time it counts at, and how many numbers it has."""

    effective_time: datetime
    numbers: int
    windows: tuple[TracedWindow, ...]
    replays: tuple[TracedReplay, ...] = ()


class DeviceNumbers(msgspec.Struct, frozen=True):
    """The database's facts about the event of one device."""

    samples: tuple[TracedSample, ...] = ()
    settled_at: datetime | None = None
    """When it was received, if it was late, its clock ran ahead, or its id counted twice."""


Who = tuple[str, str]
"""A fleet and a device of it."""


class Numbers(msgspec.Struct, frozen=True):
    """The database's facts per device and per copy's offset, and the time from which samples are kept."""

    devices: Mapping[Who, DeviceNumbers]
    progress: Mapping[Origin, Progress]
    kept_from: datetime | None
    counted_by: Mapping[Origin, str] = {}
    """The replays that accounted for copies which aggregate had not counted."""
    incidents: Mapping[Who, tuple[TracedIncident, ...]] | None = {}
    """None if they could not be read."""


class UnaskedSource(msgspec.Struct, frozen=True):
    """A source that could not be read, and why."""

    source: Source
    reason: Problem | Literal["device_unknown"]


class TracedCopy(msgspec.Struct, frozen=True):
    """One copy of the event: its offset, and its outcome in the numbers."""

    topic: str
    partition: int
    offset: int
    received_at: datetime
    event_time: datetime | None
    flags: tuple[str, ...]
    contract: str
    schema_version: int
    firmware: str | None
    event_type: str
    correlation_id: str
    files: tuple[str, ...]
    outcome: Outcome
    seen: bool
    """Whether the sample itself was found; if it is no longer kept, the outcome follows from the rule."""
    repeats: Origin | None
    """The earlier copy with the same id, if one exists."""
    same_bytes: bool | None
    counted_by: str | None = None
    """The replay that accounted for it, if aggregate had given it up or passed it over."""


class TracedLetter(LetterFacts, frozen=True):
    """One dead letter of the event."""

    files: tuple[str, ...]


class TracedEvent(msgspec.Struct, frozen=True):
    """Everything known about the event of one device; `device_id` is None if only letters without one report it."""

    fleet_id: str | None
    device_id: str | None
    verdict: Verdict
    copies: tuple[TracedCopy, ...]
    samples: tuple[TracedSample, ...] | None
    settled_at: datetime | None
    dead_letters: tuple[TracedLetter, ...]
    incidents: tuple[TracedIncident, ...] | None = None
    """None if the numbers could not be asked, or if an older release of trace answers."""


class Trace(msgspec.Struct, frozen=True):
    """The answer: one event for each device that uses the id."""

    asked: Asked
    as_of: datetime
    visible_after_seconds: int
    verdict: Verdict
    unasked: tuple[UnaskedSource, ...]
    truncated: bool
    events: tuple[TracedEvent, ...]


def devices_of(asked: Asked, found: SearchResult) -> list[Who]:
    """List the devices whose numbers can be read: those that were found, and the one that was named."""
    named = [(asked.fleet_id, asked.device_id), *_named(found)]
    known = ((fleet, device) for fleet, device in named if fleet is not None and device is not None)
    return list(dict.fromkeys(known))[:MOST_DEVICES]


def _named(found: SearchResult) -> Iterable[tuple[str | None, str | None]]:
    yield from ((copy.fleet_id, copy.device_id) for copy in found.copies or ())
    yield from ((letter.fleet_id, letter.device_id) for letter in found.letters or ())


def build_trace(
    asked: Asked, found: SearchResult, numbers: Numbers | UnaskedSource, as_of: datetime, visible_after_seconds: int
) -> Trace:
    """Build the trace from the facts."""
    known = numbers if isinstance(numbers, Numbers) else None
    who: dict[tuple[str | None, str | None], None] = dict.fromkeys(_named(found))
    who |= dict.fromkeys(known.devices if known else ())
    events = [event for one in who if (event := _build_event(*one, found, known)) is not None]
    unasked = _list_unasked(found, numbers)
    return Trace(
        asked,
        as_of,
        visible_after_seconds,
        _decide(events, unasked),
        unasked,
        max(len(found.copies or ()), len(found.letters or ())) > MOST_ROWS or len(who) > MOST_DEVICES,
        tuple(events),
    )


def _list_unasked(found: SearchResult, numbers: Numbers | UnaskedSource) -> tuple[UnaskedSource, ...]:
    reason = found.problem or "unavailable"
    parts: tuple[tuple[Source, object], ...] = (("raw", found.copies), ("dead_letters", found.letters))
    unasked = [UnaskedSource(source, reason) for source, rows in parts if rows is None]
    return (*unasked, numbers) if isinstance(numbers, UnaskedSource) else tuple(unasked)


def _decide(events: Sequence[TracedEvent], unasked: Iterable[UnaskedSource]) -> Verdict:
    if events:
        return min((event.verdict for event in events), key=lambda verdict: _WEIGHT[verdict])
    # Every event reaches the files sooner or later. The numbers alone do not show rejected events.
    missing = {one.source for one in unasked}
    return "unknown" if missing & {"raw", "dead_letters"} else "never_received"


def _build_event(
    fleet_id: str | None, device_id: str | None, found: SearchResult, known: Numbers | None
) -> TracedEvent | None:
    copies = [one for one in found.copies or () if (one.fleet_id, one.device_id) == (fleet_id, device_id)]
    letters = [one for one in found.letters or () if (one.fleet_id, one.device_id) == (fleet_id, device_id)]
    who = fleet_id or "", device_id or ""
    asked_for = known if known is not None and who in known.devices else None
    kept = asked_for.devices[who] if asked_for else DeviceNumbers()
    in_numbers = bool(kept.samples) or kept.settled_at is not None
    if not (copies or letters or in_numbers):
        return None
    verdict: Verdict = "accepted"
    if not (copies or in_numbers):
        # An event that a consumer gave up had been accepted.
        verdict = "rejected" if all(one.consumer == INGEST for one in letters) else "dead_lettered"
    buried = {one.origin for one in letters if one.consumer == AGGREGATE and one.origin is not None}
    buried -= known.counted_by.keys() if known else set()
    return TracedEvent(
        fleet_id,
        device_id,
        verdict,
        tuple(_judge(copies, kept, asked_for, buried)),
        kept.samples if asked_for else None,
        kept.settled_at,
        tuple(_gather_letters(letters)),
        None if asked_for is None or asked_for.incidents is None else asked_for.incidents.get(who, ()),
    )


def _gather_letters(letters: Iterable[StoredLetter]) -> Iterable[TracedLetter]:
    """Merge the rows of one letter: files are written at least once."""
    files: dict[tuple[str, str, str, datetime], list[StoredLetter]] = {}
    for one in letters:
        files.setdefault((one.letter_id, one.consumer, one.reason, one.failed_at), []).append(one)
    for first, *more in files.values():
        own = {"files": tuple(dict.fromkeys(one.file for one in (first, *more)))}
        yield msgspec.convert(asdict(first) | own, TracedLetter)


def _judge(
    stored: Sequence[StoredCopy], kept: DeviceNumbers, known: Numbers | None, buried: set[Origin]
) -> Iterable[TracedCopy]:
    """Judge each copy's outcome in the numbers, in offset order."""
    files: dict[Origin, list[str]] = {}
    copies: dict[Origin, StoredCopy] = {}
    for one in sorted(stored, key=lambda one: (one.origin, one.file)):
        # The delivery stream writes at least once: the same offset in two files is one copy.
        copies.setdefault(one.origin, one)
        files.setdefault(one.origin, []).append(one.file)
    moments = (sample.effective_time for sample in kept.samples)
    counted = find_counted(copies.values(), moments, known.progress if known else {}, buried)
    buried = buried - counted
    first: StoredCopy | None = None
    for origin, copy in copies.items():
        outcome, seen = _outcome(copy, counted, kept, known, buried, again=first is not None)
        same_bytes = None if first is None else copy.variant == first.variant
        own = {
            "files": tuple(dict.fromkeys(files[origin])),
            "outcome": "conflict" if outcome == "duplicate" and same_bytes is False else outcome,
            "seen": seen,
            "repeats": None if first is None else first.origin,
            "same_bytes": same_bytes,
            "counted_by": known.counted_by.get(origin) if known else None,
        }
        yield msgspec.convert(asdict(copy) | asdict(origin) | own, TracedCopy)
        if origin not in buried:
            first = first or copy


def _outcome(
    copy: StoredCopy,
    counted: set[Origin],
    kept: DeviceNumbers,
    known: Numbers | None,
    buried: set[Origin],
    *,
    again: bool,
) -> tuple[Outcome, bool]:
    """Return the outcome of one copy, and whether the database itself shows it."""
    if copy.origin in buried:
        return "dead_lettered", True
    progress = known.progress.get(copy.origin) if known else None
    if progress != "done":
        return progress or "unknown", False
    if LATE_ARRIVAL in copy.flags:
        return "late", kept.settled_at is not None
    if copy.origin in counted:
        return "counted", True
    if again or kept.samples:
        return "duplicate", bool(kept.samples)
    if kept.settled_at is not None and is_same_time(copy.received_at, kept.settled_at):
        return "late", True
    # Samples are dropped after about a day; until then, an expected sample must exist.
    effective = effective_time(copy)
    gone = known is not None and known.kept_from is not None and effective is not None and effective < known.kept_from
    return ("counted" if gone else "unexplained"), False


def write_document(trace: Trace) -> dict[str, Any]:
    """Write the answer as a document, with times in the form of all our outputs."""
    document: dict[str, Any] = _write(msgspec.to_builtins(trace, builtin_types=(date, datetime)))
    return document


def _write(value: Any) -> Any:
    match value:
        case datetime():
            return write_time(value)
        case date():
            return value.isoformat()
        case dict():
            return {name: _write(each) for name, each in value.items()}
        case list() | tuple():
            return [_write(each) for each in value]
    return value
