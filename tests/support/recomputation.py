"""The rollups computed a second time, from the raw store and the published contracts, to be held against the first.

It shares no code with the pipeline, and uses another method where there is one: it reads the bytes that devices sent,
sorts readings and counts ranks, and knows nothing of samples, markers or digests.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

SCHEMAS = Path(__file__).parents[2] / "schemas"
LENGTHS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOLERANCE = 1e-9
"""What adding up in another order may change of a sum, relative to what was added up."""
LOG_BIN = 1e-3
"""The resolution of readings that are more than a million of a sensor's steps from zero."""
STEPS = 2**20
KEPT_STARTS = 10_000

COLUMNS = (
    "fleet_id",
    "device_id",
    "event_id",
    "contract",
    "schema_version",
    "received_at",
    "flags",
    "event",
    "kafka_partition",
    "kafka_offset",
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TIME_FIELD = {"telemetry": "timestamp", "reading": "event_time", "activity": "timestamp"}


@dataclass(frozen=True)
class RawEvent:
    """One row of the raw store."""

    fleet_id: str
    device_id: str
    event_id: str
    contract: str
    schema_version: int
    received_at: datetime
    flags: tuple[str, ...]
    event: str
    kafka_partition: int
    kafka_offset: int

    # Each check of a stack reads all its events, so an event keeps what follows from it.
    @cached_property
    def name(self) -> str:
        """The event's id, without the capitals that make no other id."""
        return self.event_id.lower() if is_uuid(self.event_id) else self.event_id

    @cached_property
    def counts_at(self) -> datetime:
        """When the event counts: when it happened, unless its clock ran ahead."""
        return self.received_at if "clock_ahead" in self.flags else _read_time(self.contract, self._document)

    @cached_property
    def readings(self) -> tuple[tuple[str, float], ...]:
        """The event's readings of declared series, in their units, sorted by series."""
        return tuple(sorted(_readings(self, self._document)))

    @property
    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.event)
        return document


class Window(NamedTuple):
    """What one rollup is of; a fleet's own has no device."""

    fleet_id: str
    device_id: str | None
    metric: str
    resolution: str
    start: datetime


@dataclass(frozen=True)
class Rollup:
    """The database's row of a window."""

    unit: str
    count: int
    avg: float
    min: float
    max: float
    p50: float
    p95: float
    sum: float


# An hour that has just ended is closed some seconds before it is rolled: until then, its marker is there.
_ROLLED_UNTIL = """
SELECT least(
    (SELECT greatest(min(closed_until), 'epoch') FROM shard),
    (
        SELECT min(ends_at) - interval '1 microsecond'
        FROM shard JOIN (
            SELECT shard, window_start + CASE resolution
                WHEN '1m' THEN interval '1 minute' WHEN '1h' THEN interval '1 hour' ELSE interval '1 day'
            END AS ends_at
            FROM dirty
        ) AS marked USING (shard)
        WHERE ends_at <= closed_until
    )
)
"""


@dataclass(frozen=True)
class Numbers:
    """The rollups of a database, and up to when its windows are closed."""

    closed_until: datetime
    rollups: Sequence[tuple[Window, Rollup]]


def rolled_until(connection: psycopg.Connection[Any]) -> datetime:
    """Return up to when every window that has ended is rolled and has no marker left."""
    (moment,) = connection.execute(_ROLLED_UNTIL).fetchone() or (EPOCH,)
    return moment


def read_numbers(database: str) -> Numbers:
    """Read what the database publishes. The moment comes first, so that the rollups hold all windows closed by then."""
    with psycopg.connect(database) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        closed_until = rolled_until(connection)
        rows = connection.execute(
            "SELECT fleet_id, device_id, metric, resolution, window_start, unit, count, avg, min, max, p50, p95, sum"
            " FROM rollups"
        ).fetchall()
    return Numbers(closed_until, [(Window(*row[:5]), Rollup(*row[5:])) for row in rows])


def distinct(events: Iterable[RawEvent]) -> list[RawEvent]:
    """Keep the first copy of every event: an id counts once for a device, and later copies do not matter."""
    first: dict[tuple[str, str, str], RawEvent] = {}
    for event in sorted(events, key=lambda event: (event.kafka_partition, event.kafka_offset)):
        first.setdefault((event.fleet_id, event.device_id, event.name), event)
    return list(first.values())


def is_uuid(name: str) -> bool:
    """Whether an id is a UUID, in the one form that is taken for one."""
    return _UUID.fullmatch(name) is not None


def recompute(events: Iterable[RawEvent]) -> dict[Window, list[float]]:
    """Put every reading that counts into its windows: its device's and its fleet's, of each length; sorted."""
    found: dict[tuple[str, str | None, str, datetime], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for event in distinct(events):
        if "late_arrival" in event.flags or not event.readings:
            continue
        for resolution, start in _starts(event.counts_at.replace(microsecond=0)):
            for device in (event.device_id, None):
                window = found[event.fleet_id, device, resolution, start]
                for metric, value in event.readings:
                    window[metric].append(value)
    return {
        Window(fleet, device, metric, resolution, start): sorted(values)
        for (fleet, device, resolution, start), metrics in found.items()
        for metric, values in metrics.items()
    }


@lru_cache(KEPT_STARTS)
def _starts(moment: datetime) -> list[tuple[str, datetime]]:
    """The windows that a moment is in, by their resolution and start."""
    return [(resolution, moment - (moment - EPOCH) % length) for resolution, length in LENGTHS.items()]


def _read_time(contract: str, document: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(document[_TIME_FIELD[contract]]).astimezone(UTC)


def _readings(event: RawEvent, document: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """What an event says of declared series, in their units."""
    if event.contract == "reading":
        series = document["sensor_type"]
        yield series, convert(series, document["value"], document["unit"])
    declared = declarations(event.contract, event.schema_version)
    for name, value in document.get("metrics", {}).items() if event.contract == "telemetry" else ():
        if name in declared:
            series, unit = declared[name]
            yield series, convert(series, value, unit)


@cache
def declarations(contract: str, version: int) -> dict[str, tuple[str, str]]:
    """Read which metrics a version of a contract declares: their series and the unit they come in."""
    schema = json.loads((SCHEMAS / contract / f"{version}.json").read_text())
    metrics = schema["properties"].get("metrics", {}).get("properties", {})
    return {name: (metric["x-series"], metric["x-unit"]) for name, metric in metrics.items() if "x-series" in metric}


@cache
def book() -> dict[str, Any]:
    """Read the series and units as they are published."""
    document: dict[str, Any] = json.loads((SCHEMAS / "series.json").read_text())
    return document


def convert(series: str, value: float, unit: str) -> float:
    """Convert a value to the unit of its series: by way of the first unit of their quantity, as the book describes."""
    wanted, units = book()["series"][series]["unit"], book()["units"]
    if unit == wanted:
        return float(value)
    given, kept = units[unit], units[wanted]
    return float((value * given["scale"] + given["offset"] - kept["offset"]) / kept["scale"])


def find_differences(expected: Mapping[Window, Sequence[float]], numbers: Numbers) -> list[str]:
    """List everything in which the database differs from the recomputation; an empty list is the proof."""
    closed = {window: rollup for window, rollup in numbers.rollups if _ends(window) <= numbers.closed_until}
    times = Counter(window for window, _ in numbers.rollups)
    due = {window: readings for window, readings in expected.items() if _ends(window) <= numbers.closed_until}
    return [
        *(f"{count} rows for {_say(window)}" for window, count in times.items() if count > 1),
        *(f"missing: {_say(window)} of {len(due[window])} readings" for window in due.keys() - closed.keys()),
        *(f"extra: {_say(window)}: {closed[window]}" for window in closed.keys() - due.keys()),
        *(
            f"{_say(window)}: {difference}"
            for window in due.keys() & closed.keys()
            for difference in _compare(window, due[window], closed[window])
        ),
    ]


def _ends(window: Window) -> datetime:
    return window.start + LENGTHS[window.resolution]


def _say(window: Window) -> str:
    whose = f"device {window.device_id} of {window.fleet_id}" if window.device_id is not None else window.fleet_id
    return f"{window.metric} of {whose} in the {window.resolution} from {window.start.isoformat()}"


def _compare(window: Window, readings: Sequence[float], rollup: Rollup) -> Iterator[str]:
    unit = book()["series"][window.metric]["unit"]
    exact = {"unit": unit, "count": len(readings), "min": readings[0], "max": readings[-1]}
    for name, wanted in exact.items():
        if getattr(rollup, name) != wanted:
            yield f"{name} is {getattr(rollup, name)}, not {wanted}"
    # Relative to the summands, not to the sum: where readings cancel, the sum is near zero.
    total, magnitude = math.fsum(readings), math.fsum(map(abs, readings))
    count = len(readings)
    within = {"sum": (total, TOLERANCE * magnitude), "avg": (total / count, TOLERANCE * magnitude / count)}
    for name, share in (("p50", 0.50), ("p95", 0.95)):
        within[name] = percentile(readings, share, _steps(window))
    for name, (about, by) in within.items():
        # Written so that a NaN is a difference too.
        if not abs(getattr(rollup, name) - about) <= by:
            yield f"{name} is {getattr(rollup, name)}, not {about} (within {by:.3g})"


def percentile(readings: Sequence[float], share: float, step: float | None) -> tuple[float, float]:
    """Interpolate between the two ranks around a share of sorted readings; say how far off another answer may be.

    Where only a sensor's step distinguishes readings, it bounds either rank's distance from its bin's value.
    """
    place = share * (len(readings) - 1)
    below = readings[math.floor(place)]
    above = readings[math.ceil(place)]
    part = place - math.floor(place)
    rounding = TOLERANCE * max(abs(below), abs(above))
    bound = 0.0 if step is None else (1 - part) * _resolution(below, step) + part * _resolution(above, step)
    return below + part * (above - below), bound + rounding


def _steps(window: Window) -> float | None:
    """A minute's percentiles are those of its samples; longer windows know them by the sensor's steps."""
    return None if window.resolution == "1m" else float(book()["series"][window.metric]["resolution"])


def _resolution(reading: float, step: float) -> float:
    return step if abs(reading) < step * STEPS else LOG_BIN * abs(reading)
