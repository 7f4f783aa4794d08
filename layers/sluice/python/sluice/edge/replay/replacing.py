"""Replacing recomputed minutes in files of rollups: slice by slice, the files of each at once.

old files without the recomputed hours, and a file of the recomputed minutes -> stage -> read back and compare -> note
the new names -> publish -> list them in place of the old ones -> delete the old ones

Until the new files are listed, readers find the old ones. A replacement that stops between two steps is done again: the
same rows make files of the same names.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from itertools import chain

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.core.replay.plan import HOUR
from sluice.core.rollup_archive.files import DAY, RollupFile, StoreSpan, Totals, add_up, compare, name_object
from sluice.core.rollups.resolutions import ceil_to, floor_to
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.recomputing import name_recomputed
from sluice.edge.replay.tables import Replay
from sluice.edge.rollup_archive.database import TierDatabase
from sluice.edge.rollup_archive.files import MAX_FILE, RollupFiles, WrittenFile, total_file, write_files
from sluice.edge.rollup_archive.tables import SCHEMA, read_copy, total
from sluice.edge.rollup_archive.tiering import CHUNK

# Hours whose minutes wait to be put into files.
_HOURS = "SELECT DISTINCT hour FROM replay_swap WHERE replay_number = %s AND in_files ORDER BY hour"
_SLICES = """
    SELECT DISTINCT window_from, window_to FROM tiered
    WHERE resolution = '1m' AND window_from < %s AND window_to > %s ORDER BY window_from
"""
_DONE = "SELECT window_from, window_to FROM replay_slice WHERE replay_number = %s"
_SWAPS = "SELECT true FROM replay WHERE replay_number = %s AND state = 'swapping' FOR SHARE"
_NOTE_CHANGES = """
    INSERT INTO change (fleet_id, entity_key, resolution, window_start)
    SELECT fleet_id, NULL, '1m', window_start FROM unnest(%s::text[], %s::timestamptz[]) AS c (fleet_id, window_start)
    ORDER BY window_start, fleet_id
"""


class Sizes(msgspec.Struct, frozen=True):
    """How much is read and written at a time."""

    chunk: int = CHUNK
    max_file: int = MAX_FILE


class _Parts(msgspec.Struct):
    """What the files of a slice become."""

    old: list[RollupFile] = []
    new: list[RollupFile] = []
    totals: list[dict[str, Totals]] = []
    changed: set[tuple[str, datetime]] = set()
    """The fleets and minutes whose rows change."""


class Replacing:
    """The replacement for one replay, over one connection; tier is locked out."""

    def __init__(self, connection: Connection, files: RollupFiles, replay: Replay, sizes: Sizes | None = None) -> None:
        self._connection = connection
        self._database = TierDatabase(connection)
        self._files = files
        self._replay = replay
        self._sizes = sizes or Sizes()

    def replace(self, may_go_on: Callable[[], bool]) -> int:
        """Replace slice by slice while time is left; return how many are left."""
        hours = [hour.astimezone(UTC) for (hour,) in self._connection.execute(_HOURS, [self._replay.replay_number])]
        slices = self._list_slices(hours)
        for done, part in enumerate(slices):
            if not may_go_on() or not self._replace(part, frozenset(hours)):
                return len(slices) - done
        # After a run that ended too early, too.
        delete_unlisted(self._database, self._files)
        for day in sorted({floor_to(hour, DAY) for hour in hours}):
            listed = self._database.recorded(StoreSpan("1m", day, day + DAY))
            if listed:
                self._files.list_day(listed)
        return 0

    def _list_slices(self, hours: list[datetime]) -> list[StoreSpan]:
        """List the slices that hold some of the hours, and spans of the hours that are in none: they get files."""
        found: set[tuple[datetime, datetime]] = set()
        for hour in hours:
            since = hour
            for start, end in self._connection.execute(_SLICES, [hour + HOUR, hour]).fetchall():
                found |= {(start.astimezone(UTC), end.astimezone(UTC))}
                found |= {(since, start.astimezone(UTC))} if since < start else set()
                since = max(since, end.astimezone(UTC))
            found |= {(since, hour + HOUR)} if since < hour + HOUR else set()
        found -= {
            (start.astimezone(UTC), end.astimezone(UTC))
            for start, end in self._connection.execute(_DONE, [self._replay.replay_number]).fetchall()
        }
        return [StoreSpan("1m", start, end) for start, end in sorted(found)]

    def _replace(self, part: StoreSpan, hours: frozenset[datetime]) -> bool:
        """Replace the files of a slice; return False if the replay is over."""
        names = {hour for hour in hours if floor_to(part.start, HOUR) <= hour < ceil_to(part.end, HOUR)}
        parts = _Parts()
        numbers = iter(range(1_000_000))
        for file in self._database.recorded(part):
            if self._may_hold(file):
                self._keep(file, part, names, numbers, parts)
        metrics = self._database.metrics()
        store = name_recomputed(self._replay.replay_number)
        parts.totals.append(self._database.totals(part, store))
        with closing(self._database.copy(part, self._sizes.chunk, store)) as copied:
            tables = (_note(parts.changed, read_copy(lines, metrics)) for lines in copied)
            parts.new += self._stage(part, numbers, tables)
        compare(add_up(parts.totals), add_up(total_file(self._files.read_staged(file)) for file in parts.new))
        listed = {file.object for file in parts.old}
        self._database.note_unlisted(file.object for file in parts.new if file.object not in listed)
        for file in parts.new:
            self._files.publish(file)
        if not self._list(part, parts):
            return False
        delete_unlisted(self._database, self._files)
        return True

    def _keep(
        self, file: RollupFile, part: StoreSpan, hours: set[datetime], numbers: Iterator[int], parts: _Parts
    ) -> None:
        """Write a file again without the rows of the hours, unless it has none of them."""
        gone: set[tuple[str, datetime]] = set()
        totals: list[dict[str, Totals]] = []

        def tables() -> Iterator[pa.Table]:
            parquet = pq.ParquetFile(BytesIO(self._files.read(file)))
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, use_threads=False).cast(SCHEMA)
                replaced = self._are_replaced(table, hours)
                _note(gone, table.filter(replaced))
                kept = table.filter(pc.invert(replaced))
                if kept.num_rows:
                    totals.append(total(kept))
                    yield kept

        left = tables()
        first = next(left, None)
        staged = [] if first is None else self._stage(part, numbers, chain([first], left))
        if gone or first is None:
            parts.old.append(file)
            parts.new += staged
            parts.totals += totals
            parts.changed |= gone

    def _stage(self, part: StoreSpan, numbers: Iterator[int], tables: Iterable[pa.Table]) -> list[RollupFile]:
        def stage(written: WrittenFile) -> RollupFile:
            name = name_object(part, next(numbers), written.digest)
            self._files.stage(name, written.data)
            return RollupFile(
                "1m", part.start, part.end, name, written.rows, *written.first, *written.last, written.digest
            )

        return [stage(written) for written in write_files(tables, self._sizes.max_file)]

    def _list(self, part: StoreSpan, parts: _Parts) -> bool:
        """List the new files in place of the old ones; return False if the replay is over."""
        number = self._replay.replay_number
        with self._connection.transaction():
            if not find_value(self._connection, _SWAPS, [number]):
                return False
            self._database.replace(parts.old, parts.new)
            changed = sorted(parts.changed)
            self._connection.execute(
                _NOTE_CHANGES, [[fleet for fleet, _ in changed], [minute for _, minute in changed]]
            )
            self._connection.execute("INSERT INTO replay_slice VALUES (%s, %s, %s)", [number, part.start, part.end])
        return True

    def _may_hold(self, file: RollupFile) -> bool:
        fleet = self._replay.plan.fleet_id
        # An empty file says that a slice had no row, which is true no more.
        if fleet is None or not file.row_count:
            return True
        return file.first_fleet_id.encode() <= fleet.encode() <= file.last_fleet_id.encode()

    def _are_replaced(self, table: pa.Table, hours: set[datetime]) -> pa.Array:
        """Return which rows are of the replay's fleets and of recomputed hours."""
        starts = pa.array([hour.replace(tzinfo=None) for hour in sorted(hours)], pa.timestamp("ms"))
        replaced = pc.is_in(pc.floor_temporal(table["window_start"], unit="hour"), starts)
        fleet = self._replay.plan.fleet_id
        return replaced if fleet is None else pc.and_(replaced, pc.equal(table["fleet_id"], fleet))


def delete_unlisted(database: TierDatabase, files: RollupFiles) -> None:
    """Delete the objects that no file is listed under any more; tier is locked out."""
    names = database.list_unlisted()
    for name in names:
        # Asked again: nothing that is listed may go, whoever listed it meanwhile.
        if not database.is_listed(name):
            files.remove(name)
    database.forget_unlisted(names)


def _note(changed: set[tuple[str, datetime]], table: pa.Table) -> pa.Table:
    """Note the fleets and minutes of some rows."""
    pairs = table.select(["fleet_id", "window_start"]).group_by(["fleet_id", "window_start"]).aggregate([])
    changed |= {(row["fleet_id"], row["window_start"].replace(tzinfo=UTC)) for row in pairs.to_pylist()}
    return table
