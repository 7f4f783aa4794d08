"""Tier's queries and changes in the database."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from psycopg import sql

from sluice.core.rollup_archive.files import SOURCES, STORES, RollupFile, StoreSpan, TieredResolution, Totals
from sluice.edge.database import Connection, find_value
from sluice.edge.rollup_archive.tables import NamedMetric
from sluice.edge.rollups.maintenance import drop_oldest

# Two runs at once would do the same work twice, and a replay changes what a run copies; the number is arbitrary, but
# unique to this lock.
_LOCK = 5_170_003
# How long a drop may wait for its lock.
_DROP_SECONDS = 2.0

_COPY = """
    COPY (
        SELECT fleet_id, device_id, (extract(epoch FROM window_start) * 1000)::bigint,
               metric_keys, counts, means, mins, maxs, p50s, p95s, sums, m2s, bins, bin_counts
        FROM {store} JOIN entity USING (entity_key)
        -- A window of events without metrics has nothing to store.
        WHERE window_start >= {start} AND window_start < {end} AND metric_keys <> '{{}}' AND {wanted}
        ORDER BY fleet_id COLLATE "C", device_id COLLATE "C" NULLS FIRST, window_start
    ) TO STDOUT (FORMAT csv)
"""

# Not joined with entities: the join could lose rows in the copy, and would lose the same rows here.
_TOTALS = """
    WITH numbers AS (
        SELECT each.metric_key, count(*) AS row_count, sum(each.count)::bigint AS events, sum(each.sum) AS total,
               min(each.min) AS low, max(each.max) AS high, sum(each.m2) AS m2
        FROM {store} CROSS JOIN LATERAL unnest(metric_keys, counts, sums, mins, maxs, m2s)
            AS each (metric_key, count, sum, min, max, m2)
        WHERE window_start >= %(start)s AND window_start < %(end)s
        GROUP BY each.metric_key
    ), digests AS (
        SELECT (bin.key >> 32)::smallint AS metric_key, sum(bin.count)::bigint AS binned
        FROM {store} CROSS JOIN LATERAL unnest(bins, bin_counts) AS bin (key, count)
        WHERE window_start >= %(start)s AND window_start < %(end)s
        GROUP BY 1
    )
    SELECT metric.name, row_count, events, total, low, high, m2, coalesce(binned, 0)
    FROM numbers JOIN metric USING (metric_key) LEFT JOIN digests USING (metric_key)
"""

_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = %s"

# Why a store cannot be moved up to a moment; null if nothing before it can change any more.
_UNSETTLED = """
    SELECT CASE
        WHEN (SELECT floor FROM horizon WHERE store = %(source)s) < %(until)s THEN 'can be computed again'
        WHEN (SELECT min(closed_until) FROM shard) < %(until)s THEN 'not every window is closed'
        WHEN EXISTS (SELECT FROM dirty WHERE window_start < %(until)s) THEN 'windows wait to be computed again'
        -- It replaces each window where it was when the swap began. Windows that were moved before do not move now.
        WHEN EXISTS (
            SELECT FROM replay
            WHERE state = 'swapping' AND lower(hours) < %(until)s
                AND upper(hours) > (SELECT floor FROM horizon WHERE store = %(store)s)
        )
            THEN 'a replay is being swapped'
    END
"""

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, RollupFile.__struct_fields__))


class TierDatabase:
    """One connection, for one run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self) -> bool:
        """Lock out other runs while the connection is open; return False if one is active."""
        return lock_files(self._connection)

    def partitions(self, resolution: TieredResolution) -> list[StoreSpan]:
        """Return the partitions of a store, the oldest first."""
        found = self._connection.execute(
            "SELECT lower(span), upper(span) FROM partitions_of(%s) ORDER BY lower(span)",
            (STORES[resolution],),
        )
        return [StoreSpan(resolution, start.astimezone(UTC), end.astimezone(UTC)) for start, end in found]

    def floor(self, resolution: TieredResolution) -> datetime | None:
        """Return from when on a store is read from the database; None: all of it."""
        found = find_value(self._connection, _FLOOR, (STORES[resolution],))
        return None if found is None else found.astimezone(UTC)

    def unsettled(self, resolution: TieredResolution, until: datetime) -> str | None:
        """Return why rows before a moment may still change, or None."""
        parameters = {"source": SOURCES[resolution], "store": STORES[resolution], "until": until}
        reason: str | None = find_value(self._connection, _UNSETTLED, parameters)
        return reason

    def metrics(self) -> dict[int, NamedMetric]:
        """Return the metrics by key."""
        return read_metrics(self._connection)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read everything in this block from one snapshot."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def copy(self, part: StoreSpan, chunk: int, store: str | None = None) -> Generator[bytes, None, None]:
        """Yield the rows of a slice as CSV, in whole lines, about so many bytes at a time.

        They are those of the slice's store, or of a table of the same form.
        """
        return copy_rows(self._connection, _store(part, store), part, sql.SQL("TRUE"), chunk)

    def totals(self, part: StoreSpan, store: str | None = None) -> dict[str, Totals]:
        """Add up the same rows, by metric."""
        query = sql.SQL(_TOTALS).format(store=_store(part, store))
        found = self._connection.execute(query, {"start": part.start, "end": part.end})
        return {name: Totals(*numbers) for name, *numbers in found}

    def record(self, files: Sequence[RollupFile]) -> None:
        """Record the files of a slice, all of them or none."""
        query = sql.SQL("INSERT INTO tiered ({}) VALUES ({})").format(
            _COLUMNS, sql.SQL(", ").join(map(sql.Placeholder, RollupFile.__struct_fields__))
        )
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(query, [msgspec.structs.asdict(file) for file in files])

    def replace(self, old: Sequence[RollupFile], new: Sequence[RollupFile]) -> None:
        """Record files in place of others; the objects of those may go. Needs an open transaction."""
        self.note_unlisted(file.object for file in old)
        self._connection.execute("DELETE FROM tiered WHERE object = ANY(%s)", [[file.object for file in old]])
        self.record(new)
        self._connection.execute("DELETE FROM unlisted_file WHERE object = ANY(%s)", [[file.object for file in new]])

    def note_unlisted(self, objects: Iterable[str]) -> None:
        """Note objects that go unless a file of their name is recorded."""
        self._connection.execute(
            "INSERT INTO unlisted_file (object) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [[*objects]]
        )

    def list_unlisted(self) -> list[str]:
        """List the objects that no recorded file has."""
        found = self._connection.execute(
            "SELECT object FROM unlisted_file WHERE object NOT IN (SELECT object FROM tiered) ORDER BY object"
        )
        return [name for (name,) in found]

    def is_listed(self, name: str) -> bool:
        """Return whether a recorded file has an object."""
        return bool(find_value(self._connection, "SELECT true FROM tiered WHERE object = %s LIMIT 1", (name,)))

    def forget_unlisted(self, objects: Sequence[str]) -> None:
        """Forget objects that are gone, and those that are files again."""
        self._connection.execute(
            "DELETE FROM unlisted_file WHERE object = ANY(%s) OR object IN (SELECT object FROM tiered)", [[*objects]]
        )

    def recorded(self, span: StoreSpan) -> list[RollupFile]:
        """Return the recorded files of a span, in time order."""
        query = sql.SQL(
            "SELECT {} FROM tiered WHERE resolution = %s AND window_from >= %s AND window_to <= %s"
            " ORDER BY window_from, object"
        ).format(_COLUMNS)
        found = self._connection.execute(query, (span.resolution, span.start, span.end))
        return [
            RollupFile(width, since.astimezone(UTC), until.astimezone(UTC), *others)
            for width, since, until, *others in found
        ]

    def raise_floor(self, resolution: TieredResolution, until: datetime) -> str | None:
        """Raise the store's floor for readers and rollers; or return why not, if rows could still change.

        Rollers lock the row while they compute: once this transaction has the lock, its next query sees their work.
        """
        with self._connection.transaction():
            self._connection.execute("SELECT FROM horizon WHERE store = %s FOR UPDATE", (STORES[resolution],))
            reason = self.unsettled(resolution, until)
            if reason is None:
                self._connection.execute(
                    "UPDATE horizon SET floor = greatest(floor, %s) WHERE store = %s", (until, STORES[resolution])
                )
            return reason

    def drop_partition(self, resolution: TieredResolution) -> bool:
        """Drop the oldest moved partition; return False if none exists, or a reader holds it."""
        return drop_oldest(self._connection, STORES[resolution], _DROP_SECONDS)

    def forget(self, resolution: TieredResolution, before: datetime) -> None:
        """Delete the records of files that the bucket's lifecycle is about to expire."""
        self._connection.execute("DELETE FROM tiered WHERE resolution = %s AND window_to <= %s", (resolution, before))


def read_metrics(connection: Connection) -> dict[int, NamedMetric]:
    """Read the metrics by key."""
    found = connection.execute("SELECT metric_key, name, unit FROM metric")
    return {key: NamedMetric(name, unit) for key, name, unit in found}


def copy_rows(
    connection: Connection, store: sql.Identifier, part: StoreSpan, wanted: sql.Composable, chunk: int
) -> Generator[bytes, None, None]:
    """Yield the wanted rows of a span as CSV, in whole lines, about so many bytes at a time."""
    query = sql.SQL(_COPY).format(store=store, start=part.start, end=part.end, wanted=wanted)
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        lines = bytearray()
        for line in copy:
            lines += line
            if len(lines) >= chunk:
                yield bytes(lines)
                lines.clear()
        if lines:
            yield bytes(lines)


def lock_files(connection: Connection) -> bool:
    """Lock out whoever else changes files of rollups, while the connection is open; return False if someone does."""
    return bool(find_value(connection, "SELECT pg_try_advisory_lock(%s)", (_LOCK,)))


def _store(part: StoreSpan, store: str | None) -> sql.Identifier:
    return sql.Identifier(store or STORES[part.resolution])
