"""Partitions: any process makes the one it needs, also concurrently, and they are dropped only when unused."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

FAR = datetime(2031, 3, 31, 23, 59, 59, tzinfo=UTC)  # for which migrating made no partition
HOUR = timedelta(hours=1)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def insert(connection: Connection, moment: datetime) -> None:
    connection.execute(
        "INSERT INTO sample (entity_key, event_key, effective_time, shard, metric_keys, readings)"
        " VALUES (1, %s, %s, 0, '{}', '{}')",
        (uuid.uuid4(), moment),
    )


def ensure(connection: Connection, store: str, moment: datetime | str) -> Any:
    row = connection.execute("SELECT ensure_partition(%s, %s)", (store, moment)).fetchone()
    return row and row[0]


def span_of(connection: Connection, store: str, moment: datetime) -> Any:
    """What the partition that holds a moment covers."""
    return connection.execute(
        "SELECT lower(span), upper(span) FROM partitions_of(%s) WHERE span @> %s::timestamptz", (store, moment)
    ).fetchone()


def drop_oldest(connection: Connection, store: str) -> Any:
    row = connection.execute("SELECT drop_oldest_partition(%s)", (store,)).fetchone()
    return row and row[0]


def test_a_sample_without_a_partition_is_refused_by_the_state_aggregate_knows_and_taken_once_one_exists(
    database: str,
) -> None:
    with psycopg.connect(database, user="sluice_aggregate", autocommit=True) as aggregate:
        with pytest.raises(psycopg.errors.CheckViolation, match="no partition") as refused:
            insert(aggregate, FAR)
        assert refused.value.sqlstate == "23514"
        assert ensure(aggregate, "sample", FAR) is True
        assert ensure(aggregate, "sample", FAR) is False
        insert(aggregate, FAR)


@pytest.mark.parametrize(
    ("store", "first", "end"),
    [
        ("sample", datetime(2031, 3, 31, 23, tzinfo=UTC), datetime(2031, 4, 1, tzinfo=UTC)),
        ("rollup_1m", datetime(2031, 3, 31, tzinfo=UTC), datetime(2031, 4, 1, tzinfo=UTC)),
        ("rollup_1h", datetime(2031, 3, 1, tzinfo=UTC), datetime(2031, 4, 1, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_a_partition_is_an_hour_a_day_or_a_month_in_utc_wherever_its_maker_is(
    owner: Connection, store: str, first: datetime, end: datetime, zone: str
) -> None:
    owner.execute("SELECT set_config('timezone', %s, false), set_config('datestyle', 'SQL, DMY', false)", (zone,))
    assert ensure(owner, store, FAR) is True
    owner.execute("RESET ALL")  # psycopg reads no other style than the usual
    assert span_of(owner, store, FAR) == (first, end)


def test_many_processes_may_need_the_same_partitions_at_once(database: str) -> None:
    makers = 8
    start = threading.Barrier(makers)

    def make(number: int) -> int:
        with psycopg.connect(database, user="sluice_aggregate", autocommit=True) as connection:
            start.wait()
            made = 0
            for hour in range(12):
                # Each begins somewhere else, so that they meet in every order.
                made += ensure(connection, "sample", FAR + HOUR * ((hour + number) % 12))
                insert(connection, FAR + HOUR * ((hour + number) % 12))
            return made

    with ThreadPoolExecutor(makers) as pool:
        assert sum(pool.map(make, range(makers))) == 12
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM sample").fetchone() == (12 * makers,)


def test_making_one_blocks_no_writer_or_reader_and_waits_for_none(database: str, owner: Connection) -> None:
    with psycopg.connect(database) as writer, psycopg.connect(database) as maker:
        now = datetime.now(UTC)
        insert(writer, now)
        writer.execute("SELECT count(*) FROM sample")
        maker.execute("SET lock_timeout = '1ms'")
        assert ensure(maker, "sample", FAR) is True
        # Neither has committed.
        writer.execute("SET lock_timeout = '1ms'")
        insert(writer, now)
        owner.execute("SET lock_timeout = '1ms'")
        insert(owner, now)


@pytest.mark.parametrize("moment", ["infinity", "-infinity", None])
def test_a_moment_that_is_none_has_no_partition(owner: Connection, moment: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        ensure(owner, "sample", moment)


@pytest.mark.parametrize("store", ["fleet", "rollup_1d", "sample; DROP TABLE fleet", "pg_class", "", None])
def test_only_stores_have_partitions(owner: Connection, store: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        ensure(owner, store, FAR)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        drop_oldest(owner, store)


def test_partitions_are_not_made_for_years(owner: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="too many"):
        owner.execute("SELECT ensure_partitions('sample', %s, %s)", (FAR, FAR + timedelta(days=365)))


def test_a_gap_is_filled_and_what_is_there_stays(owner: Connection) -> None:
    assert ensure(owner, "sample", FAR + 3 * HOUR) is True
    made = owner.execute("SELECT ensure_partitions('sample', %s, %s)", (FAR, FAR + 5 * HOUR)).fetchone()
    assert made == (5,)


def test_samples_are_dropped_only_below_the_floor_the_oldest_first(owner: Connection) -> None:
    owner.execute("SELECT ensure_partitions('sample', %s, %s)", (FAR - 3 * HOUR, FAR))
    assert drop_oldest(owner, "sample") is None
    # The floor lies within the second of them: its last minutes are still needed.
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", (FAR - HOUR,))
    before = owner.execute("SELECT count(*) FROM partitions_of('sample')").fetchone()
    dropped = []
    while (name := drop_oldest(owner, "sample")) is not None:
        dropped.append(name)
    assert dropped == sorted(dropped)
    assert dropped[-2:] == ["sample_2031033120", "sample_2031033121"]
    assert span_of(owner, "sample", FAR - 2 * HOUR) is None
    assert span_of(owner, "sample", FAR - HOUR) is not None
    after = owner.execute("SELECT count(*) FROM partitions_of('sample')").fetchone()
    assert before
    assert after == (before[0] - len(dropped),)


@pytest.mark.parametrize("store", ["rollup_1m", "rollup_1h"])
def test_rollups_are_dropped_only_once_they_lie_in_parquet_or_if_there_never_were_any(
    owner: Connection, store: str
) -> None:
    past = datetime(2024, 2, 15, tzinfo=UTC)
    for moment in (past, past + timedelta(days=31)):
        ensure(owner, store, moment)
    (first, end) = span_of(owner, store, past)
    owner.execute(
        f"INSERT INTO {store} VALUES (1, %s, '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}',"
        " '{}', '{}')",
        (past,),
    )
    owner.execute("UPDATE horizon SET floor = %s WHERE store = %s", (past + timedelta(days=80), store))
    # The later one is empty, and this one is not recorded.
    assert drop_oldest(owner, store) is not None
    assert drop_oldest(owner, store) is None
    assert span_of(owner, store, past) == (first, end)
    # A partly recorded partition counts as not recorded.
    record(owner, store, first, end - timedelta(seconds=1))
    assert drop_oldest(owner, store) is None
    record(owner, store, end - timedelta(seconds=1), end)
    assert drop_oldest(owner, store) is not None
    assert span_of(owner, store, past) is None


def record(owner: Connection, store: str, first: datetime, end: datetime) -> None:
    """Write down that rollups were moved."""
    owner.execute(
        "INSERT INTO tiered VALUES (%s, %s, %s, %s, 1, '', '', '', '', '')",
        (store.removeprefix("rollup_"), first, end, f"{first}"),
    )


def test_a_drop_waits_no_longer_than_allowed_and_happens_later(database: str, owner: Connection) -> None:
    past = datetime(2024, 2, 15, tzinfo=UTC)
    ensure(owner, "sample", past)
    insert(owner, past)
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", (past + HOUR,))
    with psycopg.connect(database) as reader:
        reader.execute("SELECT count(*) FROM sample")
        owner.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            drop_oldest(owner, "sample")
        assert reader.execute("SELECT count(*) FROM sample").fetchone() == (1,)
    assert drop_oldest(owner, "sample") == "sample_2024021500"
    assert drop_oldest(owner, "sample") is None
