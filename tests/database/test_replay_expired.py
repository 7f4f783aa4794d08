"""Hours whose samples have expired are replayed too: their windows end as if this release had computed them once."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sluice.edge.replay import replacing
from sluice.edge.replay.recomputing import Recomputing
from sluice.edge.replay.verifying import verify
from sluice.edge.rollup_archive.database import TierDatabase, lock_files
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.rollup_archive.tiering import Plan, Tiering, TierReport
from tests.database.aggregating import Sent, Tables
from tests.database.replaying import SIZES, Replayer, connect_for_a_run, counts_at, make_plan
from tests.database.rollups import in_file
from tests.database.streams import Pipeline, stored
from tests.database.test_replay import FIRST, LAST, counts_late, everything, fill, spoil
from tests.database.test_tier import Interrupt, Killed
from tests.local.emulation import emulated_aws
from tests.support.recomputation import Numbers, Rollup, Window, find_differences, read_numbers, recompute

BUCKET = "rollups"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MIDNIGHT = datetime(2026, 2, 1, tzinfo=UTC)
MOVED = Plan(hot={"1m": DAY, "1h": 90 * DAY}, kept=730 * DAY, slice_windows=45, chunk=2000, max_file=9000)


class Place:
    """A database and a bucket after a release that counted wrong."""

    def __init__(self, dsn: str, s3: Any, seed: int) -> None:
        self.dsn, self.s3 = dsn, s3
        self.stream, draw = fill(seed), random.Random(seed)
        self.right = everything(self.stream)
        for held in self.stream.partitions.values():
            held[:] = [spoil(sent, draw) for sent in held]
        self.flow = Pipeline(dsn, self.stream, random.Random(seed))
        self.flow.run()
        self.expected = recompute(stored(sent) for sent in self.right)
        self.connection = psycopg.connect(dsn, autocommit=True)
        self._begun: list[Replayer] = []

    def close(self) -> None:
        for one in self._begun:
            one.close()
        self.connection.close()
        self.flow.close()

    def expire(self, floor: datetime) -> None:
        """Let samples expire, as maintain does."""
        self.connection.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [floor])
        self.connection.execute("DELETE FROM sample WHERE effective_time < %s", [floor])
        self.connection.execute("DELETE FROM settled_event WHERE received_at < %s", [floor])

    def plant(self, floor: datetime) -> None:
        """Leave rows of minutes and hours for which there is no event at all."""
        for table, shift in (("rollup_1m", timedelta(minutes=61)), ("rollup_1h", -HOUR)):
            planted = self.connection.execute(
                f"INSERT INTO {table} SELECT entity_key, window_start + %(shift)s, metric_keys, counts, means, m2s,"
                f" sums, mins, maxs, p50s, p95s, bins, bin_counts FROM {table}"
                " WHERE window_start >= %(since)s - %(shift)s AND window_start < %(floor)s - %(shift)s"
                " ON CONFLICT DO NOTHING",
                {"shift": shift, "since": FIRST, "floor": floor},
            )
            assert planted.rowcount > 5

    def tier(self) -> TierReport:
        """Move what is old to files."""
        with closing(psycopg.connect(make_conninfo(self.dsn, user="sluice_tier"), autocommit=True)) as connection:
            return Tiering(TierDatabase(connection), RollupFiles(self.s3, BUCKET), MOVED).run(
                MIDNIGHT + DAY + HOUR, lambda: True
            )

    def replay(self, fleet_id: str, start: datetime = FIRST, end: datetime = LAST, **settings: Any) -> Replayer:
        """Begin a replay, up to its swap."""
        plan = make_plan(fleet_id, start, end, reprocess=True, **settings)
        begun = Replayer(self.dsn, plan, RollupFiles(self.s3, BUCKET))
        self._begun.append(begun)
        begun.resend(self.right)
        return begun

    def numbers(self) -> Numbers:
        """Read what readers find, in the database and in files."""
        found = read_numbers(self.dsn)
        query = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'rollup_1m'"
        ((floor,),) = self.connection.execute(query).fetchall()
        moved = floor is not None
        rows = [
            (window, rollup)
            for window, rollup in found.rollups
            if window.resolution != "1m" or not moved or window.start >= floor
        ]
        for (name,) in self.connection.execute("SELECT object FROM tiered").fetchall() if moved else []:
            for row in in_file(self.s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()):
                start = row["window_start"].replace(tzinfo=UTC)
                window = Window(row["fleet_id"], row["device_id"], row["metric"], "1m", start)
                names = ("unit", "count", "avg", "min", "max", "p50", "p95", "sum")
                rows.append((window, Rollup(*(row[each] for each in names))))
        return Numbers(found.closed_until, rows)

    def differences(self) -> list[str]:
        return find_differences(self.expected, self.numbers())

    def names(self, prefix: str = "rollups/") -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def listed(self) -> set[str]:
        return {name for (name,) in self.connection.execute("SELECT object FROM tiered").fetchall()}


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture
def s3(s3_url: str) -> Iterator[Any]:
    client = boto3.client(
        "s3", "us-east-1", endpoint_url=s3_url, aws_access_key_id="local", aws_secret_access_key="local"
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    while found := client.list_objects_v2(Bucket=BUCKET).get("Contents"):
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": each["Key"]} for each in found]})


@pytest.fixture
def place(database: str, s3: Any) -> Iterator[Callable[[int], Place]]:
    made: list[Place] = []

    def make(seed: int) -> Place:
        made.append(Place(database, s3, seed))
        return made[-1]

    yield make
    for one in made:
        one.close()


def mend(place: Place) -> None:
    """Replay both fleets, in two parts each."""
    for fleet_id in ("north", "south"):
        again = place.replay(fleet_id)
        left = again.swap(most_units=40)
        while left:
            left = again.swap(most_units=200)
        again.tables.move(again.number, ["swapping"], "verifying")
        place.flow.run()
        result = verify(again.tables.connection, again.replay)
        assert (result.waits_for, result.wrong) == (0, 0), result.example
        assert result.verified > 0
        assert again.tables.end(again.number, ["verifying"], "done")


@pytest.mark.parametrize(("seed", "floor"), [(1, MIDNIGHT + HOUR), (2, LAST)])
def test_windows_in_the_database_end_as_if_the_wrong_release_had_never_been(
    place: Callable[[int], Place], seed: int, floor: datetime
) -> None:
    here = place(seed)
    here.plant(floor)
    here.expire(floor)
    assert any("extra" in one for one in here.differences())
    mend(here)
    differences = here.differences()
    assert not differences, "\n".join([f"{len(differences)} differences", *differences[:20]])


def test_windows_in_files_end_as_if_the_wrong_release_had_never_been(place: Callable[[int], Place]) -> None:
    here = moved_place(place, 3)
    before = here.listed()
    assert here.differences()
    # What tier staged has expired.
    for name in here.names("staging/"):
        here.s3.delete_object(Bucket=BUCKET, Key=name)
    mend(here)
    # A restored database may list what was deleted.
    assert {f"staging/{name}" for name in before - here.listed()} <= here.names("staging/")
    differences = here.differences()
    assert not differences, "\n".join([f"{len(differences)} differences", *differences[:20]])
    assert here.names() == here.listed() != before
    # A second time, they are computed again, and are the same.
    mend(here)
    assert not here.differences()
    assert here.names() == here.listed()


def test_hours_that_expire_while_they_are_swapped_are_finished_as_a_whole(place: Callable[[int], Place]) -> None:
    here = place(9)
    for fleet_id, units in (("north", 12), ("south", 31)):
        again = here.replay(fleet_id)
        assert again.swap(most_units=units) > 0
        # The floor waits for marked minutes.
        here.flow.run()
        here.expire(MIDNIGHT if fleet_id == "north" else MIDNIGHT + HOUR)
        assert again.swap() == 0
        again.tables.move(again.number, ["swapping"], "verifying")
        here.flow.run()
        result = verify(again.tables.connection, again.replay)
        assert (result.waits_for, result.wrong) == (0, 0), result.example
        assert again.tables.end(again.number, ["verifying"], "done")
    assert not here.differences()


def test_a_replay_that_does_not_reprocess_leaves_hours_that_have_expired(place: Callable[[int], Place]) -> None:
    here = place(9)
    again = Replayer(here.dsn, make_plan("north", FIRST, LAST))
    again.resend(here.right)
    here.expire(LAST)
    before = here.numbers()
    assert again.swap() == 0
    again.close()
    assert here.numbers() == before
    (expired,) = here.connection.execute("SELECT bool_and(expired) FROM replay_swap").fetchone() or (False,)
    assert expired


def moved_place(make: Callable[[int], Place], seed: int) -> Place:
    """A place whose minutes before midnight are in files alone."""
    here = make(seed)
    here.plant(MIDNIGHT)
    here.expire(MIDNIGHT + HOUR)
    here.tier()
    assert here.tier().partitions == 1
    return here


def test_a_replacement_of_files_that_is_killed_between_any_two_steps_is_finished_by_the_next(
    place: Callable[[int], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = moved_place(place, 5)
    again = Replayer(here.dsn, make_plan("north", FIRST, LAST, reprocess=True))
    again.resend(here.right)
    assert again.swap() == 0
    kills, left, checked = 0, 1, set[str]()
    while left:
        interrupt = Interrupt(kills)
        with connect_for_a_run(here.dsn, "replay") as connection, monkeypatch.context() as patched:
            assert lock_files(connection)
            patched.setattr(replacing, "TierDatabase", lambda one, with_=interrupt: with_.wrap(TierDatabase(one)))
            files: Any = interrupt.wrap(RollupFiles(here.s3, BUCKET))
            try:
                left = replacing.Replacing(connection, files, again.replay, SIZES).replace(lambda: True)
            except Killed:
                kills += 1
        # Each row is found once, and no file is listed that is not there. Readers see only what was committed.
        if (listed := here.listed()) != checked:
            assert not [one for one in here.differences() if " rows for " in one], kills
            assert listed <= here.names()
            checked = listed
    assert kills > 30
    assert here.listed() == here.names()
    again.tables.move(again.number, ["swapping"], "verifying")
    assert again.tables.end(again.number, ["verifying"], "done")
    again.close()
    here.flow.run()
    # Only the other fleet, which was not replayed, still has wrong numbers.
    others = here.differences()
    assert others
    assert not [one for one in others if "north" in one]


def test_a_unit_of_an_expired_hour_that_dies_has_changed_nothing(place: Callable[[int], Place]) -> None:
    here = place(6)
    here.expire(LAST)
    watched = [
        f"SELECT * FROM {table} ORDER BY 1, 2, 3" for table in ("rollup_1m", "rollup_1h", "dirty", "replay_swap")
    ]

    def look() -> list[Any]:
        return [here.connection.execute(query).fetchall() for query in watched]

    # One hour with many events, and the first of its units.
    again = here.replay("north", MIDNIGHT - HOUR, MIDNIGHT)
    before, statements = look(), 0
    while again.swap_until_death(statements):
        after = look()
        if after != before:
            # The units before it were committed, whole.
            assert len(after[3]) > len(before[3])
        before = after
        statements += 1
    assert statements > 20


def test_tier_moves_nothing_that_a_replay_is_swapping_and_copies_again_what_has_changed(
    place: Callable[[int], Place],
) -> None:
    here = place(7)
    here.expire(MIDNIGHT + HOUR)
    # It ends after some slices.
    slices = iter([True] * 30)
    with closing(psycopg.connect(make_conninfo(here.dsn, user="sluice_tier"), autocommit=True)) as connection:
        tiering = Tiering(TierDatabase(connection), RollupFiles(here.s3, BUCKET), MOVED)
        tiering.run(MIDNIGHT + DAY + HOUR, lambda: next(slices, False))
    assert len(here.listed()) >= 30
    again = here.replay("north")
    assert again.swap(most_units=9) > 0
    # The slices before the first replaced hour are still right.
    assert 0 < len(here.listed()) < 30
    here.flow.run()
    assert here.tier().waits_for == {"1m": "a replay is being swapped"}
    assert again.swap() == 0
    again.tables.move(again.number, ["swapping"], "verifying")
    here.flow.run()
    here.tier()
    assert again.tables.end(again.number, ["verifying"], "done")
    mend(here)
    assert not here.differences()
    assert here.names() == here.listed()


def test_events_of_expired_hours_that_aggregate_lost_are_counted_and_accounted_for(database: str) -> None:
    stream = fill(8)
    right = everything(stream)
    lost = {number: held[20:60] for number, held in stream.partitions.items()}
    flow = Pipeline(database, stream, random.Random(8), skipping=lost)
    flow.run()
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [LAST])
        owner.execute("DELETE FROM sample")
        owner.execute("DELETE FROM settled_event")
    for fleet_id in ("north", "south"):
        again = Replayer(database, make_plan(fleet_id, FIRST, LAST, reprocess=True))
        again.resend(right)
        again.swap()
        again.close()
    flow.run()
    flow.close()
    assert not find_differences(recompute(map(stored, right)), read_numbers(database))
    found = Tables(database)
    with found.connection:
        within = [sent for sent in right if FIRST <= counts_at(sent) < LAST]
        outcomes = [found.outcomes(fleet_id) for fleet_id in ("north", "south")]
        assert sum(sum(one.values()) for one in outcomes) >= len(within)
        # Each sample of a stream counted once.
        counted = sum(one["counted"] for one in outcomes)
        assert counted == len({(sent.fleet_id, sent.device_id, sent.key) for sent in right} - uncounted(right))


def uncounted(right: list[Sent]) -> set[Any]:
    """The ids whose first copy was late."""
    first: dict[Any, Sent] = {}
    for sent in sorted(right, key=lambda sent: (sent.partition, sent.offset)):
        first.setdefault((sent.fleet_id, sent.device_id, sent.key), sent)
    return {who for who, sent in first.items() if counts_late(sent)}


def test_a_unit_locks_its_shard_against_roll_no_longer_than_it_merges_the_hour(
    place: Callable[[int], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place(6)
    here.expire(LAST)
    again = here.replay("north", MIDNIGHT - HOUR, MIDNIGHT)
    free: list[bool] = []
    real = Recomputing._finish_minutes

    def look(self: Recomputing, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        held = "SELECT count(*) FROM (SELECT FROM shard WHERE shard = %s FOR UPDATE SKIP LOCKED)"
        ((rows,),) = here.connection.execute(held, [self.parameters["shard"]]).fetchall()
        # Nor does maintain wait.
        here.connection.execute("SELECT FROM horizon FOR UPDATE NOWAIT")
        free.append(rows == 1)

    monkeypatch.setattr(Recomputing, "_finish_minutes", look)
    assert again.swap() == 0
    assert free
    assert all(free)


def test_minutes_that_were_moved_while_they_were_replaced_in_the_database_are_computed_again_into_files(
    place: Callable[[int], Place],
) -> None:
    here = place(5)
    here.expire(MIDNIGHT + HOUR)
    again = here.replay("north")
    assert again.swap(most_units=9) > 0
    here.flow.run()
    # tier of a release that does not know of it moves them.
    again.tables.move(again.number, ["swapping"], "verifying")
    assert not here.tier().waits_for
    again.tables.move(again.number, ["verifying"], "swapping")
    assert again.swap() == 0
    again.tables.move(again.number, ["swapping"], "verifying")
    assert again.tables.end(again.number, ["verifying"], "done")
    mend(here)
    here.flow.run()
    assert not here.differences()


def test_minutes_that_come_after_a_swap_that_does_not_end_are_moved_all_the_same(place: Callable[[int], Place]) -> None:
    here = moved_place(place, 3)
    again = here.replay("north", MIDNIGHT - 2 * HOUR, MIDNIGHT)
    assert again.swap(most_units=1) > 0
    here.expire(MIDNIGHT + 2 * DAY)
    here.connection.execute("DELETE FROM dirty")
    here.connection.execute("UPDATE shard SET closed_until = %s", [MIDNIGHT + 2 * DAY])
    with closing(psycopg.connect(make_conninfo(here.dsn, user="sluice_tier"), autocommit=True)) as connection:
        tier = TierDatabase(connection)
        assert tier.unsettled("1m", MIDNIGHT + DAY) is None
        here.connection.execute("UPDATE horizon SET floor = %s WHERE store = 'rollup_1m'", [MIDNIGHT - HOUR])
        assert tier.unsettled("1m", MIDNIGHT + DAY) == "a replay is being swapped"


def test_hours_that_expire_before_they_are_verified_are_counted(place: Callable[[int], Place]) -> None:
    here = place(9)
    again = here.replay("north", MIDNIGHT - HOUR, MIDNIGHT + HOUR)
    assert again.swap() == 0
    here.flow.run()
    assert verify(again.tables.connection, again.replay).unverified_hours == 0
    here.expire(MIDNIGHT)
    result = verify(again.tables.connection, again.replay)
    assert (result.wrong, result.unverified_hours) == (0, 1)
