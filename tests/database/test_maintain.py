"""Maintain on a real database, with its own role: what exists after it, and what it has dropped."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from functions.maintain.handler import handler, maintain
from sluice.edge.metrics import metrics
from sluice.edge.rollups.maintenance import Maintenance
from sluice.edge.settings import MaintainSettings

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# A time of its own: partitions that migrations made for today are long past then.
NOW = datetime(2031, 3, 31, 22, 30, tzinfo=UTC)
SETTINGS = MaintainSettings(
    partitions_ahead_hours=48,
    sample_hours=26,
    waiting_sample_hours=72,
    change_hours=72,
    outcome_days=90,
    sighting_days=90,
    summary_days=730,
    statement_seconds=60,
    lock_seconds=0.05,
)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def own(database: str) -> Iterator[Connection]:
    """The connection that maintain has."""
    with psycopg.connect(database, user="sluice_maintain", autocommit=True) as connection:
        yield connection


class Clock:
    """Says how much time is left."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def run(own: Connection, now: datetime = NOW) -> dict[str, Any]:
    return maintain(Maintenance(own, SETTINGS.lock_seconds), SETTINGS, now)


def covered(connection: Connection, store: str, first: datetime, last: datetime) -> bool:
    """Whether there is a partition for every moment of a time."""
    row = connection.execute(
        "SELECT range_agg(span) @> tstzrange(%s, %s) FROM partitions_of(%s)", (first, last, store)
    ).fetchone()
    return row == (True,)


def held(connection: Connection, moment: datetime) -> bool:
    """Whether samples of a moment have a partition."""
    row = connection.execute(
        "SELECT count(*) FROM partitions_of('sample') WHERE span @> %s::timestamptz", (moment,)
    ).fetchone()
    return row == (1,)


def floor(connection: Connection) -> Any:
    row = connection.execute("SELECT floor FROM horizon WHERE store = 'sample'").fetchone()
    return row and row[0]


def put_sample(connection: Connection, moment: datetime) -> None:
    connection.execute("SELECT ensure_partition('sample', %s)", (moment,))
    connection.execute("INSERT INTO sample VALUES (1, %s, %s, 0, '{}', '{}')", (uuid.uuid4(), moment))


def mark(connection: Connection, moment: datetime, resolution: str = "1m") -> None:
    connection.execute("INSERT INTO dirty (resolution, shard, window_start) VALUES (%s, 0, %s)", (resolution, moment))


def values(connection: Connection, query: str) -> list[Any]:
    return [row[0] for row in connection.execute(query).fetchall()]


@pytest.mark.parametrize("missed", [timedelta(hours=1), timedelta(hours=30), timedelta(days=5)])
def test_partitions_are_there_from_the_oldest_sample_to_two_days_ahead_however_many_runs_were_missed(
    own: Connection, missed: timedelta
) -> None:
    run(own)
    now = NOW + missed
    assert run(own, now)["PartitionsMade"] > 0
    for store in ("sample", "rollup_1m", "rollup_1h"):
        assert covered(own, store, now - 26 * HOUR, now + 48 * HOUR), store
    assert run(own, now)["PartitionsMade"] == 0


def test_the_floor_rises_and_what_lies_below_is_dropped(own: Connection, owner: Connection) -> None:
    kept, gone = NOW - 26 * HOUR, NOW - 27 * HOUR
    put_sample(owner, kept)
    put_sample(owner, gone)
    done = run(own)
    assert floor(owner) == datetime(2031, 3, 30, 20, tzinfo=UTC)
    assert values(owner, "SELECT effective_time FROM sample") == [kept]
    assert not held(owner, gone)
    assert done["PartitionsDropped"] > 0
    assert done["PartitionsOverdue"] == 0


def test_the_floor_never_sinks(own: Connection, owner: Connection) -> None:
    run(own)
    raised = floor(owner)
    run(own, NOW - 10 * HOUR)
    assert floor(owner) == raised


@pytest.mark.shows_loss_path(
    fails="samples would be dropped before they are rolled",
    section="In the stores",
    event_is="in the database: the floor waits for them, up to 72 hours",
    told="`maintain-waiting`",
    comes_back="rolled, then dropped; after 72 hours dropped all the same: raw has the events, the window stays "
    "without them",
)
def test_samples_stay_while_a_window_waits_for_them(own: Connection, owner: Connection) -> None:
    waiting = NOW - 40 * HOUR
    run(own, NOW - 24 * HOUR)
    put_sample(owner, waiting)
    mark(owner, waiting)
    run(own)
    assert floor(owner) == waiting.replace(minute=0)
    assert held(owner, waiting)
    assert not held(owner, waiting - HOUR)
    owner.execute("DELETE FROM dirty")
    run(own)
    assert not held(owner, waiting)


def test_samples_do_not_stay_for_ever(own: Connection, owner: Connection) -> None:
    put_sample(owner, NOW - 80 * HOUR)
    mark(owner, NOW - 80 * HOUR)
    run(own)
    assert floor(owner) == (NOW - 72 * HOUR).replace(minute=0)
    assert not held(owner, NOW - 80 * HOUR)


@pytest.mark.parametrize(("resolution", "hours"), [("1h", 40), ("1d", 40), ("1m", 10)])
def test_what_waits_for_no_old_sample_holds_none_back(
    own: Connection, owner: Connection, resolution: str, hours: int
) -> None:
    mark(owner, NOW - hours * HOUR, resolution)
    run(own)
    assert floor(owner) == (NOW - 26 * HOUR).replace(minute=0)


def test_a_marker_that_was_left_below_the_floor_holds_nothing_back(own: Connection, owner: Connection) -> None:
    run(own)
    mark(owner, NOW - 60 * HOUR)
    run(own, NOW + 10 * HOUR)
    assert floor(owner) == (NOW - 16 * HOUR).replace(minute=0)


def test_a_partition_that_a_session_holds_is_dropped_by_a_later_run(
    database: str, own: Connection, owner: Connection
) -> None:
    old = NOW - 30 * HOUR
    put_sample(owner, old)
    with psycopg.connect(database) as reader:
        reader.execute("SELECT count(*) FROM sample")
        done = run(own)
        assert done["PartitionsDropped"] == 0
        assert done["PartitionsOverdue"] >= 1
        # The floor has risen already: no roll computes from what may be dropped at any moment.
        assert floor(owner) > old
        assert reader.execute("SELECT count(*) FROM sample").fetchone() == (1,)
    done = run(own)
    assert done["PartitionsDropped"] >= 1
    assert done["PartitionsOverdue"] == 0
    assert not held(owner, old)


def test_the_floor_waits_for_a_roll_that_has_read_it_and_nothing_is_dropped_before(
    database: str, owner: Connection
) -> None:
    old = NOW - 30 * HOUR
    put_sample(owner, old)
    with (
        psycopg.connect(database, user="sluice_roll") as roll,
        psycopg.connect(database, user="sluice_maintain", autocommit=True) as own,
        ThreadPoolExecutor(1) as pool,
    ):
        roll.execute("SELECT floor::text FROM horizon WHERE store = 'sample' FOR SHARE")
        running = pool.submit(run, own)
        await_lock(owner, own)
        # A later statement of the same roll, which computes: every sample is still there.
        assert roll.execute("SELECT effective_time FROM sample").fetchall() == [(old,)]
        assert not running.done()
        roll.commit()
        assert running.result(timeout=60)["PartitionsDropped"] > 0
        assert not held(owner, old)


def await_lock(owner: Connection, waiting: Connection) -> None:
    """Wait until a connection waits for a lock."""
    pause = threading.Event()
    for _ in range(600):
        row = owner.execute(
            "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (waiting.info.backend_pid,)
        ).fetchone()
        if row == ("Lock",):
            return
        pause.wait(0.1)
    raise AssertionError("it never waited")


OUTCOME = "INSERT INTO outcome VALUES ('aggregate', %s, %s, 'telemetry', 2, %s, %s)"


def counts(connection: Connection) -> tuple[int, dict[Any, int]]:
    """The number of rows, and their sums."""
    rows = connection.execute("SELECT fleet_id, outcome, sum(events)::bigint, count(*) FROM outcome GROUP BY 1, 2")
    found = rows.fetchall()
    return sum(row[3] for row in found), {(row[0], row[1]): row[2] for row in found}


def test_the_floor_waits_for_a_swap_and_for_the_minutes_that_it_marks(
    database: str, own: Connection, owner: Connection
) -> None:
    marked = NOW - 30 * HOUR
    with psycopg.connect(database) as swap, ThreadPoolExecutor(1) as other:
        swap.execute("SELECT FROM horizon WHERE store = 'sample' FOR SHARE")
        swap.execute("INSERT INTO dirty (resolution, shard, window_start) VALUES ('1m', 3, %s)", (marked,))
        ran = other.submit(run, own)
        await_lock(owner, own)
        swap.commit()
        ran.result(timeout=30)
    assert floor(owner) == marked.replace(minute=0)


def test_counts_are_folded_into_one_row_each_and_say_the_same(own: Connection, owner: Connection) -> None:
    hour = NOW.replace(minute=0)
    for number in range(20):
        for fleet, outcome in (("a", "counted"), ("a", "late"), ("b", "counted")):
            owner.execute(OUTCOME, (fleet, hour, outcome, number))
    owner.execute(OUTCOME, ("a", hour - HOUR, "counted", 1000))
    for field in ("metrics.fan_speed", "line"):
        for _ in range(5):
            owner.execute("INSERT INTO unknown_field VALUES ('a', 'telemetry', 2, %s, %s, 3)", (field, hour))
    assert run(own)["CountsFolded"] == 19 * 3 + 4 * 2
    assert counts(owner) == (4, {("a", "counted"): 1190, ("a", "late"): 190, ("b", "counted"): 190})
    fields = owner.execute("SELECT field, events FROM unknown_field ORDER BY 1").fetchall()
    assert fields == [("line", 15), ("metrics.fan_speed", 15)]
    assert run(own)["CountsFolded"] == 0


def test_a_count_that_is_added_while_others_are_folded_is_not_lost(
    database: str, own: Connection, owner: Connection
) -> None:
    hour = NOW.replace(minute=0)
    for _ in range(10):
        owner.execute(OUTCOME, ("a", hour, "counted", 1))
    with psycopg.connect(database, user="sluice_aggregate") as aggregate:
        aggregate.execute(OUTCOME, ("a", hour, "counted", 5))
        assert run(own)["CountsFolded"] == 9
        aggregate.commit()
    assert counts(owner) == (2, {("a", "counted"): 15})
    assert run(own)["CountsFolded"] == 1
    assert counts(owner) == (1, {("a", "counted"): 15})


def test_counting_and_folding_at_the_same_time_add_up(database: str, owner: Connection) -> None:
    hour = NOW.replace(minute=0)
    start = threading.Barrier(4)

    def count() -> None:
        with psycopg.connect(database, user="sluice_aggregate", autocommit=True) as aggregate:
            start.wait()
            for _ in range(200):
                aggregate.execute(OUTCOME, ("a", hour, "counted", 1))

    def fold() -> None:
        with psycopg.connect(database, user="sluice_maintain", autocommit=True) as own:
            start.wait()
            for _ in range(20):
                Maintenance(own, 1).fold("outcome")

    with ThreadPoolExecutor(4) as pool:
        for work in [pool.submit(task) for task in (count, count, fold, fold)]:
            work.result(timeout=120)
    assert counts(owner)[1] == {("a", "counted"): 400}


def test_what_is_past_its_use_is_forgotten_and_the_rest_stays(own: Connection, owner: Connection) -> None:
    for age in (71 * HOUR, 73 * HOUR):
        owner.execute(
            "INSERT INTO change (fleet_id, resolution, window_start, changed_at) VALUES ('a', '1m', now(), %s)",
            (NOW - age,),
        )
    for hours in (25, 28):
        owner.execute("INSERT INTO settled_event VALUES (1, %s, %s)", (uuid.uuid4(), NOW - hours * HOUR))
    for days in (89, 91):
        owner.execute(OUTCOME, ("a", NOW - days * DAY, "counted", 1))
        owner.execute(
            "INSERT INTO dead_lettered_record VALUES ('aggregate', 'raw-events', 0, %s, 'a', %s, 'telemetry', 2)",
            (days, NOW - days * DAY),
        )
        owner.execute(
            "INSERT INTO counted_back VALUES (%s, 'aggregate', 'raw-events', 0, '{[1,2)}', %s)",
            (days, NOW - days * DAY),
        )
        owner.execute("INSERT INTO unknown_field VALUES ('a', 'telemetry', 2, 'x', %s, 1)", (NOW - days * DAY,))
        owner.execute("INSERT INTO sighting VALUES (%s, 'telemetry', 2, '2.0.0', now(), %s)", (days, NOW - days * DAY))
        owner.execute("INSERT INTO counted_object VALUES (%s, 'tag', 1, 1, %s)", (str(days), NOW - days * DAY))
        owner.execute("INSERT INTO late_object VALUES ('a', %s, 'name', 1)", (NOW - days * DAY,))
    for days in (2, 4):
        owner.execute("INSERT INTO counted_letter VALUES (%s, %s)", (NOW - days * DAY, uuid.uuid4()))
    for days in (729, 731):
        owner.execute(
            "INSERT INTO rollup_1d VALUES (1, %s, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
            (NOW - days * DAY,),
        )
    assert run(own)["RowsForgotten"] == 11
    counted = ("outcome", "unknown_field", "counted_object", "late_object", "counted_letter")
    moved = ("dead_lettered_record", "counted_back")
    for table in ("change", "settled_event", *counted, *moved, "sighting", "rollup_1d"):
        assert values(owner, f"SELECT count(*) FROM {table}") == [1], table
    assert values(owner, "SELECT entity_key FROM sighting") == [89]


def test_more_than_one_piece_is_forgotten_in_one_run(
    own: Connection, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.edge.rollups.maintenance.PIECE", 10)
    owner.execute(
        "INSERT INTO change (fleet_id, resolution, window_start, changed_at)"
        " SELECT 'a', '1m', now(), %s FROM generate_series(1, 25)",
        (NOW - 100 * HOUR,),
    )
    assert run(own)["RowsForgotten"] == 25


def test_rollups_are_not_dropped_here_however_old(own: Connection, owner: Connection) -> None:
    old = datetime(2024, 2, 15, tzinfo=UTC)
    for store in ("rollup_1m", "rollup_1h"):
        owner.execute("SELECT ensure_partition(%s, %s)", (store, old))
    run(own)
    for store in ("rollup_1m", "rollup_1h"):
        assert covered(owner, store, old, old + HOUR), store


def test_the_function_reads_its_settings_connects_as_itself_and_reports(
    owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = owner.info
    environment = {
        **msgspec.structs.asdict(SETTINGS),
        "database_host": place.host,
        "database_port": place.port,
        "database_name": place.dbname,
        "database_user": "sluice_maintain",
        "database_auth": "none",
        "aws_region": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name.upper(), str(value))
    monkeypatch.setattr(metrics.provider, "namespace", "Sluice/test")  # read when the module was
    assert handler({}, Clock())["PartitionsOverdue"] == 0
    assert covered(owner, "sample", datetime.now(UTC), datetime.now(UTC) + 47 * HOUR)
