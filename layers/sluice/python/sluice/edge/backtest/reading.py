"""What is stored of devices: minutes of the database and of files, hours, and the baselines that learn had each day."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from sluice.core.backtest.histories import SLOW_HOURS, DayBaseline, DeviceHistory, SeriesHistory, with_gap
from sluice.core.backtest.windows import Windows
from sluice.core.detect.defaults import SILENCE_METRIC
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.errors import Retryable
from sluice.core.rollup_archive.files import STORES, StoreSpan
from sluice.core.rollup_archive.recall import RecallQuestion
from sluice.edge.database import Connection, find_value
from sluice.edge.detect.baselines import apply_settings, compute_baselines, read_baseline
from sluice.edge.rollup_archive.database import copy_rows, read_metrics
from sluice.edge.rollup_archive.recalling import Recaller
from sluice.edge.rollup_archive.tables import SCHEMA, NamedMetric, read_copy

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CHUNK = 8 * 1024 * 1024
MINUTE_MILLISECONDS = 60_000

_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = %s"
_OBJECTS = """
    SELECT object FROM tiered
    WHERE resolution = '1m' AND window_from < %(until)s AND window_to > %(since)s
        AND (first_fleet_id, first_device_id) <= (%(fleet)s, %(last)s)
        AND (last_fleet_id, last_device_id) >= (%(fleet)s, %(first)s)
    ORDER BY object
"""
_HOURS = """
    SELECT entity_key, extract(epoch FROM window_start)::bigint / 60, counts[place], means[place], m2s[place]
    FROM (
        SELECT entity_key, window_start, counts, means, m2s, array_position(metric_keys, metric_key) AS place
        FROM rollup_1h CROSS JOIN metric
        WHERE entity_key = ANY(%(entities)s) AND window_start >= %(since)s AND window_start < %(until)s
            AND metric.name = %(metric)s
    ) AS hour
    WHERE place IS NOT NULL
    ORDER BY entity_key, window_start
"""
_SIGHTED = """
    SELECT entity_key, max(last_seen_at), array_agg(first_seen_at ORDER BY first_seen_at) FILTER (WHERE firmware <> '')
    FROM sighting WHERE entity_key = ANY(%s) GROUP BY entity_key
"""
_NAMES = ("device_id", "metric", "window_start", "count", "avg", "min", "max", "m2")
_DIGEST = ("bins", "bin_counts")
_SENT = ("device_id", "window_start")
"""What silence needs. Many series of a device share its minutes."""


class Device(msgspec.Struct, frozen=True):
    """A device that a rule is for."""

    entity_key: int
    device_id: str
    first_seen_at: datetime


class StoredHistories:
    """Reads the histories of devices for a rule."""

    def __init__(
        self,
        connection: Connection,
        recaller: Recaller,
        rule: SeriesRule,
        since: datetime,
        until: datetime,
        learned_from: timedelta,
    ) -> None:
        self._connection = connection
        self._recaller = recaller
        self._rule = rule
        self._since, self._until = since, until
        self._learned_from = learned_from
        self._silence = rule.kind == "silence"
        # The first hour of statistics; of silence, the gaps of the day before.
        self._first = since - (DAY if self._silence else HOUR)
        self._metrics: dict[int, NamedMetric] = {}

    def read(self, devices: Sequence[Device]) -> Iterator[DeviceHistory]:
        """Read the histories of some devices, one after the other."""
        self._metrics = read_metrics(self._connection)
        keys = [one.entity_key for one in devices]
        minutes = self._read_minutes(devices)
        baselines = self._read_baselines(keys)
        hours = self._read_hours(keys)
        sighted = {key: found for key, *found in self._connection.execute(_SIGHTED, [keys])}
        for one in devices:
            seen_at, changes = sighted.get(one.entity_key, (None, None))
            there = minutes.get(one.device_id, Windows())
            sent = there.at if self._silence else ()
            found = baselines[one.entity_key]
            series = [
                SeriesHistory(
                    metric,
                    Windows() if self._silence else there,
                    [with_gap(each, sent) for each in found[metric]] if self._silence else found[metric],
                    hours.get(one.entity_key, Windows()),
                )
                for metric in (found if self._silence else [self._rule.metric])
            ]
            yield DeviceHistory(
                self._rule.fleet_id,
                one.device_id,
                one.first_seen_at,
                series,
                changes=changes or (),
                sent=sent,
                seen_before=seen_at if seen_at is not None and seen_at < self._first else None,
            )

    def _read_minutes(self, devices: Sequence[Device]) -> dict[str, Windows]:
        tables = [table for table in self._read_tables(devices) if table.num_rows]
        if not tables:
            return {}
        table = pa.concat_tables(tables).sort_by([("device_id", "ascending"), ("window_start", "ascending")])
        return dict(_split(table.combine_chunks(), digests=not self._silence))

    def _read_tables(self, devices: Sequence[Device]) -> Iterator[pa.Table]:
        floor = find_value(self._connection, _FLOOR, [STORES["1m"]])
        floor = self._first if floor is None else min(max(floor.astimezone(UTC), self._first), self._until)
        if floor > self._first:
            yield from self._read_files(devices, floor)
        if floor < self._until:
            yield from self._read_database(devices, floor)

    def _read_files(self, devices: Sequence[Device], until: datetime) -> list[pa.Table]:
        names = sorted((one.device_id for one in devices), key=str.encode)
        objects = self._find_objects(names, until)
        question = RecallQuestion(
            "1m",
            self._rule.fleet_id,
            tuple(names),
            () if self._silence else (self._rule.metric,),
            self._first,
            until,
            objects,
            digests=not self._silence,
        )
        try:
            return [pick(table, silence=self._silence) for table in self._recaller.read_tables(question)]
        except Retryable:
            # A replay may have replaced a file meanwhile.
            again = self._find_objects(names, until)
            if again == objects:
                raise
            question = msgspec.structs.replace(question, objects=again)
            return [pick(table, silence=self._silence) for table in self._recaller.read_tables(question)]

    def _find_objects(self, names: Sequence[str], until: datetime) -> tuple[str, ...]:
        asked = {
            "fleet": self._rule.fleet_id,
            "first": names[0],
            "last": names[-1],
            "since": self._first,
            "until": until,
        }
        return tuple(name for (name,) in self._connection.execute(_OBJECTS, asked))

    def _read_database(self, devices: Sequence[Device], since: datetime) -> Iterator[pa.Table]:
        wanted = sql.SQL("entity_key = ANY({keys})").format(keys=[one.entity_key for one in devices])
        span = StoreSpan("1m", since, self._until)
        for lines in copy_rows(self._connection, sql.Identifier(STORES["1m"]), span, wanted, CHUNK):
            table = read_copy(lines, self._metrics)
            if not self._silence:
                table = table.filter(pc.equal(table["metric"], self._rule.metric))
            yield pick(table, silence=self._silence)

    def _read_hours(self, keys: Sequence[int]) -> dict[int, Windows]:
        """Read the hours of series that have few readings in one; only the last hour's deviations look at them."""
        if self._rule.kind != "zscore":
            return {}
        asked = {
            "entities": [*keys],
            "since": self._since - timedelta(hours=SLOW_HOURS),
            "until": self._until,
            "metric": self._rule.metric,
        }
        rows = self._connection.execute(_HOURS, asked).fetchall()
        found = {}
        for key, of_device in groupby(rows, key=lambda row: row[0]):
            _, at, counts, means, squares = zip(*of_device, strict=True)
            found[key] = Windows(at, counts, means, squares)
        return found

    def _read_baselines(self, keys: Sequence[int]) -> dict[int, dict[str, list[DayBaseline]]]:
        """Read what learn's baselines of each tested day were."""
        found: defaultdict[int, dict[str, list[DayBaseline]]] = defaultdict(lambda: defaultdict(list))
        day = self._since.replace(minute=0, second=0, microsecond=0)
        while day < self._until:
            with self._connection.transaction():
                apply_settings(self._connection)
                rows = compute_baselines(self._connection, keys, day, self._learned_from)
            for row in rows:
                metric = self._metrics[row["metric_key"]].name
                if self._rule.metric in (SILENCE_METRIC, metric):
                    each = DayBaseline(row["computed_at"], row["since"], read_baseline(row))
                    found[row["entity_key"]][metric].append(each)
            day += DAY
        return found


def pick(table: pa.Table, *, silence: bool) -> pa.Table:
    """Keep what is judged: of silence each minute of a device once, before parts with all series add up."""
    names = _SENT if silence else (*_NAMES, *_DIGEST)
    # A file's lists name their elements otherwise than those of a copy.
    picked = table.select(names).cast(pa.schema([SCHEMA.field(name) for name in names]))
    return picked.group_by(names).aggregate([]) if silence else picked


def _split(table: pa.Table, *, digests: bool) -> Iterator[tuple[str, Windows]]:
    """Split a sorted table into the windows of each device. For silence, only the minutes count."""
    at = [milliseconds // MINUTE_MILLISECONDS for milliseconds in table["window_start"].cast(pa.int64()).to_pylist()]
    columns = [table[name].to_pylist() for name in ("count", "avg", "m2", "min", "max")] if digests else []
    start = 0
    for device_id, rows in groupby(table["device_id"].to_pylist()):
        end = start + sum(1 for _ in rows)
        if digests:
            counts, means, squares, lows, highs = (column[start:end] for column in columns)
            yield device_id, Windows(at[start:end], counts, means, squares, lows, highs, _digests(table, start))
        else:
            yield device_id, Windows(list(dict.fromkeys(at[start:end])))
        start = end


def _digests(table: pa.Table, start: int) -> Any:
    bins, counts = table["bins"], table["bin_counts"]
    return lambda place: (bins[start + place].as_py(), counts[start + place].as_py())
