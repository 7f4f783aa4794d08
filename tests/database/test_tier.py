"""Rollups move to files: at every moment each of them is found in exactly one place, with the same numbers."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import boto3
import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from sluice.core.rollup_archive.files import STAGING, STORES, StoreSpan, TieredResolution, Unverified
from sluice.core.rollup_archive.recall import ArchivedRow, RecallQuestion
from sluice.edge.rollup_archive.database import TierDatabase
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.rollup_archive.recalling import Recaller
from sluice.edge.rollup_archive.tiering import Plan, Tiering, TierReport
from tests.database.rollups import by_window, fill, in_database, in_file, prepare
from tests.local.emulation import emulated_aws

BUCKET = "rollups"
NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
# Small enough that a slice takes several files, and each of them several row groups.
PLAN = Plan(hot={"1m": 2 * DAY, "1h": 60 * DAY}, kept=730 * DAY, slice_windows=720, chunk=2000, max_file=9000)
MINUTES_ONLY = replace(PLAN, hot={"1m": 2 * DAY, "1h": 3650 * DAY})
MINUTES = (datetime(2026, 6, 6, tzinfo=UTC), datetime(2026, 6, 10, tzinfo=UTC))
HOURS = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 20, tzinfo=UTC))
FLOORS: dict[TieredResolution, datetime] = {
    "1m": datetime(2026, 6, 8, tzinfo=UTC),
    "1h": datetime(2026, 4, 1, tzinfo=UTC),
}


class Place:
    """A database and a bucket, and everything that readers find in the two."""

    def __init__(self, dsn: str, s3: Any) -> None:
        self.dsn = dsn
        self.s3 = s3
        self.connection = psycopg.connect(dsn, autocommit=True)
        self._read: dict[str, list[dict[str, Any]]] = {}

    def tier(self, plan: Plan = PLAN, now: datetime = NOW, interrupt: "Interrupt | None" = None) -> TierReport:
        """Run tier once, as the role it has."""
        with closing(psycopg.connect(make_conninfo(self.dsn, user="sluice_tier"), autocommit=True)) as connection:
            database, files = TierDatabase(connection), RollupFiles(self.s3, BUCKET)
            if interrupt is not None:
                database, files = interrupt.wrap(database), interrupt.wrap(files)
            return Tiering(database, files, plan).run(now, lambda: True)

    def begin_again(self) -> None:
        """Put everything back to where it was before the first run moved the first day."""
        start, end = MINUTES[0], MINUTES[0] + DAY
        self.connection.execute("DELETE FROM rollup_1m WHERE window_start < %s", (end,))
        self.connection.execute("TRUNCATE tiered")
        self.connection.execute("UPDATE horizon SET floor = '-infinity' WHERE store = 'rollup_1m'")
        fill(self.connection, "rollup_1m", start, end, timedelta(hours=1))
        if names := self.names(""):
            self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": name} for name in names]})

    def floor(self, resolution: TieredResolution) -> datetime | None:
        """Return where the database ends and the files begin."""
        (row,) = self.connection.execute(
            "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = %s", (STORES[resolution],)
        )
        found: datetime | None = row[0]
        return found

    def listed(self, resolution: TieredResolution) -> list[str]:
        """Return the files that lie below the floor."""
        rows = self.connection.execute(
            "SELECT object FROM tiered JOIN horizon ON store = 'rollup_' || resolution"
            " WHERE resolution = %s AND window_from < floor",
            (resolution,),
        )
        return [name for (name,) in rows]

    def found(self, resolution: TieredResolution) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Return every row that readers find."""
        rows = in_database(self.connection, STORES[resolution], self.floor(resolution))
        for name in self.listed(resolution):
            if name not in self._read:
                self._read[name] = in_file(self.read(name))
            rows += self._read[name]
        return by_window(rows)

    def names(self, prefix: str) -> set[str]:
        """Return what lies in the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def read(self, name: str) -> bytes:
        """Return one object of the bucket."""
        data: bytes = self.s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        return data

    def partitions(self, resolution: TieredResolution) -> list[datetime]:
        """Return where the partitions that are still there start."""
        rows = self.connection.execute("SELECT lower(span) FROM partitions_of(%s) ORDER BY 1", (STORES[resolution],))
        return [start for (start,) in rows]


class Killed(Exception):
    """The process is gone."""


class Interrupt:
    """Ends a run at one of its steps: before it is taken, or after its effect and before its answer."""

    def __init__(self, step: int) -> None:
        self._left = step

    def wrap(self, edge: Any) -> Any:
        """Return a wrapper of the edge whose every call is a step."""
        return _Stepping(edge, self._step)

    def _step(self, call: Callable[..., Any], *arguments: Any) -> Any:
        self._count()
        answer = call(*arguments)
        self._count()
        return answer

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed


class _Stepping:
    def __init__(self, edge: Any, step: Callable[..., Any]) -> None:
        self._edge = edge
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self._step(getattr(self._edge, name), *arguments)


@pytest.fixture
def s3() -> Iterator[Any]:
    with emulated_aws() as url:
        client = boto3.client(
            "s3", "us-east-1", endpoint_url=url, aws_access_key_id="local", aws_secret_access_key="local"
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def place(database: str, s3: Any) -> Iterator[Place]:
    """Some days of minutes and some months of hours that are final."""
    place = Place(database, s3)
    with closing(place.connection) as connection:
        prepare(connection)
        fill(connection, "rollup_1m", *MINUTES, timedelta(minutes=30))
        fill(connection, "rollup_1h", *HOURS, timedelta(hours=4))
        connection.execute("UPDATE shard SET closed_until = %s", (NOW - timedelta(minutes=2),))
        connection.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", (NOW - DAY,))
        yield place


def test_every_row_is_found_once_with_the_same_numbers_before_and_after(place: Place) -> None:
    before = {resolution: place.found(resolution) for resolution in STORES}
    report = place.tier()
    assert {resolution: place.found(resolution) for resolution in STORES} == before
    assert {resolution: place.floor(resolution) for resolution in STORES} == FLOORS
    assert report.rows == sum(
        row["window_start"].replace(tzinfo=UTC) < FLOORS[resolution]
        for resolution in STORES
        for row in before[resolution].values()
    )
    assert report.waits_for == {}
    assert place.tier().behind <= timedelta(0)
    assert {resolution: place.found(resolution) for resolution in STORES} == before


def test_what_was_moved_is_dropped_by_the_next_run_when_no_reader_can_be_reading_it(place: Place) -> None:
    place.tier()
    assert min(place.partitions("1m")) == MINUTES[0]
    place.tier()
    assert [min(place.partitions(resolution)) for resolution in STORES] == list(FLOORS.values())


def test_a_second_run_does_nothing(place: Place) -> None:
    place.tier()
    before = place.names("")
    assert place.tier().rows == 0
    assert place.names("") == before


def test_queries_find_exactly_the_files_that_are_listed(place: Place) -> None:
    place.tier()
    assert place.names("rollups/") == {name for resolution in STORES for name in place.listed(resolution)}
    sizes = [len(place.read(name)) for name in place.names("rollups/resolution=1m/")]
    # More than one slice's worth, in more than one file each.
    assert len(sizes) > 2 * 2


def test_a_run_that_ends_between_any_two_steps_is_finished_by_the_next(place: Place) -> None:
    # One store takes the same steps as the other, and one day the same as many.
    plan = replace(MINUTES_ONLY, hot=MINUTES_ONLY.hot | {"1m": 3 * DAY}, max_file=12_500)
    place.begin_again()
    before = place.found("1m")
    steps, finished = 0, False
    while not finished:
        place.begin_again()
        try:
            place.tier(plan, interrupt=Interrupt(steps))
            finished = True
        except Killed:
            steps += 1
        assert place.found("1m") == before, f"after {steps} steps"
        place.tier(plan)
        assert place.found("1m") == before
        assert place.floor("1m") == MINUTES[0] + DAY
        assert place.names("rollups/") == set(place.listed("1m"))
    assert steps > 50
    place.tier(plan)
    assert place.found("1m") == before
    assert min(place.partitions("1m")) == MINUTES[0] + DAY


def test_a_run_out_of_time_stops_between_slices_and_the_next_continues(place: Place) -> None:
    before = place.found("1m")
    with closing(psycopg.connect(place.dsn, autocommit=True)) as connection:
        tiering = Tiering(TierDatabase(connection), RollupFiles(place.s3, BUCKET), MINUTES_ONLY)
        moved = []
        for _ in range(4):
            slices = iter([True])
            moved.append(tiering.run(NOW, lambda slices=slices: next(slices, False)).rows)  # type: ignore[misc]
    assert all(moved)
    assert place.floor("1m") == FLOORS["1m"]
    assert place.found("1m") == before


@pytest.mark.shows_loss_path(
    fails="rollups move to files that are not what was written",
    section="In the stores",
    event_is="in the database: nothing is dropped before it is read back and compared",
    told="`tier-behind`",
    comes_back="the next run moves them again",
)
def test_a_file_that_is_not_what_was_written_is_refused_and_the_rows_stay(place: Place) -> None:
    class Corrupting(RollupFiles):
        def stage(self, name: str, data: bytes) -> None:
            super().stage(name, data[:-100] + bytes(100))

    before = place.found("1m")
    with closing(psycopg.connect(place.dsn, autocommit=True)) as connection:
        tiering = Tiering(TierDatabase(connection), Corrupting(place.s3, BUCKET), MINUTES_ONLY)
        with pytest.raises(Unverified, match="other bytes"):
            tiering.run(NOW, lambda: True)
    assert place.floor("1m") is None
    assert place.names("rollups/") == set()
    assert place.found("1m") == before


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM rollup_1m WHERE entity_key = 2 AND window_start = '2026-06-06 03:00+00'",
        "UPDATE rollup_1m SET counts[1] = counts[1] + 1 WHERE entity_key = 2 AND window_start = '2026-06-06 03:00+00'",
        "UPDATE rollup_1m SET sums[1] = sums[1] + 1 WHERE entity_key = 2 AND window_start = '2026-06-06 03:00+00'",
        "UPDATE rollup_1m SET bin_counts[1] = 7777 WHERE entity_key = 2 AND window_start = '2026-06-06 03:00+00'",
    ],
)
def test_files_that_say_something_else_than_the_database_are_refused(place: Place, change: str) -> None:
    class Changing(TierDatabase):
        """Copies what is not in the database."""

        def copy(self, part: StoreSpan, chunk: int, store: str | None = None) -> Generator[bytes, None, None]:
            with place.connection.transaction(force_rollback=True):
                place.connection.execute(change)
                yield from TierDatabase(place.connection).copy(part, chunk, store)

    with closing(psycopg.connect(place.dsn, autocommit=True)) as connection:
        tiering = Tiering(Changing(connection), RollupFiles(place.s3, BUCKET), MINUTES_ONLY)
        with pytest.raises(Unverified, match="the database has"):
            tiering.run(NOW, lambda: True)
    assert place.floor("1m") is None
    assert place.names("rollups/") == set()


def test_a_device_that_no_entity_names_is_not_lost_silently(place: Place) -> None:
    place.connection.execute("DELETE FROM entity WHERE entity_key = 2")
    with pytest.raises(Unverified):
        place.tier(MINUTES_ONLY)
    assert place.floor("1m") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE shard SET closed_until = '2026-06-06 23:59+00' WHERE shard = 17", "not every window is closed"),
        ("UPDATE horizon SET floor = '2026-06-06 23:00+00' WHERE store = 'sample'", "can be computed again"),
        (
            "INSERT INTO dirty (resolution, shard, window_start) VALUES ('1m', 3, '2026-06-06 23:59+00')",
            "windows wait to be computed again",
        ),
        (
            "INSERT INTO dirty (resolution, shard, window_start) VALUES ('1h', 3, '2026-06-06 23:00+00')",
            "windows wait to be computed again",
        ),
    ],
)
def test_nothing_is_moved_that_may_still_change(place: Place, change: str, reason: str) -> None:
    place.connection.execute(change)
    report = place.tier(MINUTES_ONLY)
    assert report.waits_for["1m"] == reason
    assert report.behind > DAY
    assert place.floor("1m") is None
    assert place.names("") == set()


def test_a_marker_that_comes_while_rows_are_copied_keeps_the_floor_where_it_is(place: Place) -> None:
    class Marked(RollupFiles):
        def stage(self, name: str, data: bytes) -> None:
            super().stage(name, data)
            place.connection.execute(
                "INSERT INTO dirty (resolution, shard, window_start) VALUES ('1h', 1, '2026-06-06 05:00+00')"
            )

    before = place.found("1m")
    with closing(psycopg.connect(place.dsn, autocommit=True)) as connection:
        report = Tiering(TierDatabase(connection), Marked(place.s3, BUCKET), MINUTES_ONLY).run(NOW, lambda: True)
    assert report.waits_for["1m"] == "windows wait to be computed again"
    assert place.floor("1m") is None
    assert place.found("1m") == before
    place.connection.execute("DELETE FROM dirty")
    place.tier(MINUTES_ONLY)
    assert place.found("1m") == before


def test_a_partition_that_is_being_read_is_dropped_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.edge.rollup_archive.database._DROP_SECONDS", 0.05)
    before = place.found("1m")
    place.tier(MINUTES_ONLY)
    with closing(psycopg.connect(place.dsn)) as reader:
        reader.execute("SELECT FROM rollup_1m LIMIT 1")
        report = place.tier(MINUTES_ONLY)
    assert place.floor("1m") == FLOORS["1m"]
    assert min(place.partitions("1m")) == MINUTES[0]
    assert report.behind > timedelta(0)
    assert place.found("1m") == before
    place.tier(MINUTES_ONLY)
    assert min(place.partitions("1m")) == FLOORS["1m"]
    assert place.found("1m") == before


def test_an_hour_without_rows_is_no_hole(place: Place) -> None:
    place.connection.execute("DELETE FROM rollup_1m WHERE window_start < '2026-06-07 12:00+00'")
    before = place.found("1m")
    place.tier(MINUTES_ONLY)
    place.tier(MINUTES_ONLY)
    assert place.found("1m") == before
    assert min(place.partitions("1m")) == FLOORS["1m"]


def test_two_runs_at_once_are_one(place: Place) -> None:
    with closing(psycopg.connect(place.dsn, autocommit=True)) as first, closing(psycopg.connect(place.dsn)) as second:
        assert TierDatabase(first).lock()
        assert not TierDatabase(second).lock()


def test_files_are_forgotten_before_they_end(place: Place) -> None:
    place.tier(MINUTES_ONLY)
    place.tier(MINUTES_ONLY, now=FLOORS["1m"] + 730 * DAY - DAY)
    left = place.connection.execute("SELECT count(*), min(window_to) FROM tiered WHERE resolution = '1m'").fetchone()
    assert left is not None
    assert left[0] > 0
    assert left[1] > FLOORS["1m"] - DAY


def test_what_is_staged_and_what_is_listed_lie_where_no_query_looks(place: Place) -> None:
    place.tier(MINUTES_ONLY)
    elsewhere = place.names("") - place.names("rollups/")
    assert {name.split("/")[0] + "/" for name in elsewhere} == {STAGING, "manifests/"}
    listed = place.read("manifests/resolution=1m/dt=2026-06-06.json").decode()
    assert all(name in listed for name in place.names("rollups/resolution=1m/dt=2026-06-06/"))


@pytest.mark.parametrize(("fleet_id", "device_ids"), [("acme", ("press-1", 'press "2", new')), ("zeta", None)])
@pytest.mark.parametrize("resolution", STORES)
def test_what_is_recalled_has_the_numbers_that_the_database_had(
    place: Place, resolution: TieredResolution, fleet_id: str, device_ids: tuple[str, ...] | None
) -> None:
    start, end = FLOORS[resolution] - timedelta(hours=30), FLOORS[resolution] - timedelta(hours=4)
    wanted = {
        key: row
        for key, row in place.found(resolution).items()
        if row["fleet_id"] == fleet_id
        and row["device_id"] in (device_ids or (None,))
        and start <= row["window_start"].replace(tzinfo=UTC) < end
    }
    assert len(wanted) > 5
    place.tier()
    question = RecallQuestion(
        resolution, fleet_id, device_ids, (), start, end, tuple(place.listed(resolution)), digests=True
    )
    recalled = Recaller(place.s3, BUCKET).recall(question).rows
    assert [row.window_start for row in recalled] == sorted(row.window_start for row in recalled)
    assert by_window([as_found(fleet_id, row) for row in recalled]) == wanted


def as_found(fleet_id: str, row: ArchivedRow) -> dict[str, Any]:
    """Write a recalled row as the others are."""
    digest = {"bins": list(row.bins), "bin_counts": list(row.bin_counts)}
    named = {name: getattr(row, name) for name in ArchivedRow.__struct_fields__}
    return named | digest | {"fleet_id": fleet_id, "window_start": row.window_start.replace(tzinfo=None)}


def test_an_analyst_finds_the_sums_that_the_database_had(place: Place) -> None:
    expected = place.connection.execute(
        "SELECT metric, count(*), sum(count)::bigint, sum(sum), min(min), max(max) FROM rollups"
        " WHERE resolution = '1m' AND window_start < %s GROUP BY metric ORDER BY metric",
        (FLOORS["1m"],),
    ).fetchall()
    place.tier(MINUTES_ONLY)
    files = pa.concat_tables(
        pq.read_table(BytesIO(place.read(name))) for name in sorted(place.names("rollups/resolution=1m/"))
    )
    analyst = duckdb.connect()
    analyst.register("files", files)
    found = analyst.execute(
        "SELECT metric, count(*), sum(count)::bigint, sum(sum), min(min), max(max) FROM files GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [row[:3] + row[4:] for row in found] == [row[:3] + row[4:] for row in expected]
    assert [row[3] for row in found] == pytest.approx([row[3] for row in expected], rel=1e-9)
    assert files.num_rows == sum(row[1] for row in expected)
