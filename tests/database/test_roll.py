"""Rollups equal the samples after any interruption between the two."""

import random
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.core.errors import Retryable
from sluice.core.rollups.watermark import Covered
from sluice.edge.rollups import rolling
from sluice.edge.rollups.computing import NARROWER
from sluice.edge.rollups.rolling import UnrollableError
from tests.database.rolled import Sample, Samples, differences, drain, window_of
from tests.database.server import Databases
from tests.support.recomputation import percentile

DAY = datetime(2026, 3, 2, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FAR = DAY + timedelta(days=3)


@pytest.fixture
def samples(database: str) -> Iterator[Samples]:
    """A database with partitions for some days."""
    made = Samples(database)
    made.prepare_for(DAY - timedelta(days=1), FAR)
    yield made
    made.close()


def sample(device: str, moment: datetime, fleet: str = "one", **readings: float) -> Sample:
    return Sample(fleet, device, moment, readings or {"fine": 1.0})


def some_samples(chance: random.Random, count: int) -> list[Sample]:
    """Readings of a few devices around an hour's, and a day's, end."""
    edges = [NOON, NOON + HOUR, DAY + timedelta(days=1)]
    made = []
    for _ in range(count):
        moment = chance.choice(edges) + timedelta(seconds=chance.randrange(-180, 180), microseconds=chance.randrange(9))
        readings = {
            name: value
            for name, value in {
                "coarse": round(chance.gauss(20, 5) * 2) / 2,
                # Far from zero and close together: sums of squares cannot distinguish them.
                "fine": 1e6 + round(chance.gauss(0, 1), 2),
                "undeclared": chance.choice([0.0, -1.0, 1.0]) * 10 ** chance.uniform(-13, 14),
            }.items()
            if chance.random() < 0.8
        }
        made.append(Sample(chance.choice(["one", "two"]), f"device-{chance.randrange(5)}", moment, readings))
    return made


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_rollups_are_a_function_of_the_set_of_samples(databases: Databases, seed: int, sizes: list[int]) -> None:
    chance = random.Random(seed)
    with databases.fresh() as dsn, closing(Samples(dsn)) as samples:
        samples.prepare_for(DAY - timedelta(days=1), FAR)
        two = [samples.roller(settling=chance.choice([0.0, 3600.0])) for _ in range(2)]
        for size in sizes:
            with samples.writing(some_samples(chance, size)) if chance.random() < 0.5 else nullcontext():
                # While a batch is being written, and between batches.
                for _ in range(chance.randrange(4)):
                    one = chance.choice(two)
                    match chance.randrange(4):
                        case 0:
                            one.roll_wider("1h")
                        case 1:
                            one.roll_wider("1d")
                        case _:
                            watermark = NOON + timedelta(minutes=chance.randrange(-10, 900))
                            one.roll_minutes(chance.choice([None, watermark]), chance.randrange(1, 65))
        last = samples.roller()
        drain(last, FAR)
        assert samples.markers() == []
        assert samples.closed_until() == FAR
        assert differences(samples, FAR) == []
        assert drain(last, FAR) == 0


def test_nothing_is_published_before_it_is_closed(samples: Samples) -> None:
    samples.write(*(sample("d", NOON + second * timedelta(seconds=1)) for second in range(0, 7200, 20)))
    one = samples.roller(grace=10)
    for watermark in (NOON, NOON + timedelta(seconds=69), NOON + timedelta(seconds=70), NOON + HOUR, FAR - HOUR):
        drain(one, watermark)
        closed = window_of(watermark - timedelta(seconds=10), "1m")
        assert samples.closed_until() == closed
        assert differences(samples, closed) == []


def test_a_watermark_that_is_unknown_or_goes_back_closes_nothing_and_opens_nothing(samples: Samples) -> None:
    samples.write(sample("d", NOON), sample("d", NOON + HOUR))
    one = samples.roller()
    drain(one, None)
    assert samples.rows() == {}
    drain(one, NOON + MINUTE)
    drain(one, NOON - HOUR)
    drain(one, None)
    assert samples.closed_until() == NOON + MINUTE
    assert set(samples.rows()) == {("one", "d", "1m", NOON), ("one", None, "1m", NOON)}


@pytest.mark.parametrize("when", ["before the claim", "between the claim and the computation", "after"])
def test_a_sample_committed_while_its_window_is_rolled_is_in_that_roll_or_the_next(
    samples: Samples, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    samples.write(sample("d", NOON, fine=1.0))
    one = samples.roller()
    meanwhile = samples.writing([sample("d", NOON + timedelta(seconds=1), fine=3.0)])
    # It reads what is closed, and writes its markers, before the roll begins.
    meanwhile.__enter__()
    if when == "before the claim":
        meanwhile.__exit__(None, None, None)
    if when == "between the claim and the computation":
        compute = rolling._roll_minutes

        def commit_first(*arguments: Any) -> int:
            meanwhile.__exit__(None, None, None)
            return compute(*arguments)

        monkeypatch.setattr(rolling, "_roll_minutes", commit_first)
    one.roll_minutes(NOON + MINUTE, 64)
    monkeypatch.undo()
    waiting = [marker for marker in samples.markers() if marker[0] == "1m"]
    if when == "after":
        meanwhile.__exit__(None, None, None)
        assert differences(samples, NOON + MINUTE) != []
    assert bool(waiting) == (when == "between the claim and the computation")
    drain(one, NOON + MINUTE)
    assert [marker for marker in samples.markers() if marker[0] == "1m"] == []
    assert differences(samples, NOON + MINUTE) == []


def test_rollers_side_by_side_share_the_shards_and_agree(samples: Samples) -> None:
    chance = random.Random(5)
    for _ in range(4):
        samples.write(*some_samples(chance, 50))
    worked: list[set[int]] = [set(), set()]
    problems: list[BaseException] = []
    begin = threading.Barrier(3)

    def run(number: int) -> None:
        one = samples.roller()
        begin.wait()
        for _ in range(100):
            try:
                worked[number].add(one.roll_minutes(FAR, 4).shards)
                one.roll_wider("1h")
                one.roll_wider("1d")
            except Retryable as error:
                problems.append(error)

    threads = [threading.Thread(target=run, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    begin.wait()
    for _ in range(5):
        samples.write(*some_samples(chance, 20))
    for thread in threads:
        thread.join()
    assert problems == []
    assert all(4 in each for each in worked)
    drain(samples.roller(), FAR)
    assert differences(samples, FAR) == []


def test_a_shard_that_another_run_holds_is_left_to_it(samples: Samples) -> None:
    samples.write(sample("d", NOON))
    with psycopg.connect(samples.dsn) as other:
        other.execute("SELECT FROM shard WHERE shard < 60 FOR UPDATE")
        assert samples.roller().roll_minutes(FAR, 64).shards == 4


@pytest.mark.parametrize("place", ["_lock_floor", "_roll_minutes", "_mark"])
def test_a_roller_that_is_killed_between_statements_has_done_nothing(
    samples: Samples, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    samples.write(*some_samples(random.Random(3), 60))
    markers = sorted(samples.markers(), key=str)
    one = samples.roller()
    real = getattr(rolling, place)

    def die(connection: psycopg.Connection[Any], *arguments: Any) -> Any:
        samples.connection.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        return real(connection, *arguments)

    monkeypatch.setattr(rolling, place, die)
    with pytest.raises(Retryable):
        one.roll_minutes(FAR, 64)
    monkeypatch.undo()
    assert sorted(samples.markers(), key=str) == markers
    assert samples.rows() == {}
    assert samples.closed_until() is None
    drain(one, FAR)
    assert differences(samples, FAR) == []


def test_a_straggler_costs_its_own_row_and_its_fleets(samples: Samples) -> None:
    # Of one shard, and so of one claim the first time.
    neighbours = [f"d{number}" for number in range(40)]
    shard = samples.entity("one", "d0")[1]
    neighbours = [name for name in neighbours if samples.entity("one", name)[1] == shard or name < "d20"]
    for name in neighbours:
        samples.write(sample(name, NOON), sample(name, NOON + MINUTE))
    one = samples.roller()
    drain(one, NOON + HOUR)
    before = samples.rows()
    samples.write(sample("d0", NOON + timedelta(seconds=3), fine=9.0))
    drain(one, NOON + HOUR)
    after = samples.rows()
    changed = {key for key in before if before[key]["rolled_at"] != after[key]["rolled_at"]}
    assert changed == {("one", who, width, NOON) for who in ("d0", None) for width in ("1m", "1h")}
    assert differences(samples, NOON + HOUR) == []


def test_the_fleets_of_a_straggler_are_read_alike_whether_they_are_large_or_small(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.write(*some_samples(random.Random(11), 100))
    drain(samples.roller(), FAR)
    small = samples.rows()
    assert differences(samples, FAR) == []
    monkeypatch.setattr(rolling, "FEW_DEVICES", 0)
    samples.connection.execute(
        "INSERT INTO dirty (resolution, shard, window_start, entity_key)"
        " SELECT '1m', entity.shard, window_start, entity_key FROM rollup_1m JOIN entity USING (entity_key)"
        " WHERE device_id IS NULL"
    )
    assert drain(samples.roller(), FAR) > 0
    large = samples.rows()
    assert differences(samples, FAR) == []
    # Sums of floats depend on the order of a plan in their last digit: `differences` judges them.
    judged = {"rolled_at", "sums", "means", "m2s"}
    for key, row in small.items():
        assert {name: row[name] for name in row.keys() - judged} == {
            name: large[key][name] for name in row.keys() - judged
        }


def test_a_window_waits_for_more_stragglers_but_not_for_ever(samples: Samples) -> None:
    samples.write(sample("d", NOON))
    drain(samples.roller(), NOON + MINUTE)
    samples.write(sample("d", NOON + timedelta(seconds=1), fine=2.0))
    patient = samples.roller(settling=3600)
    assert drain(patient, NOON + MINUTE) == 0
    # An hour later, with another straggler having just come.
    samples.connection.execute("UPDATE dirty SET marked_at = marked_at - interval '1 hour'")
    samples.write(sample("d", NOON + timedelta(seconds=2), fine=3.0))
    assert patient.roll_minutes(NOON + MINUTE, 64).windows == 2
    assert {marker[0] for marker in samples.markers()} == {"1h"}
    assert differences(samples, NOON + MINUTE) == []


def test_hours_and_days_are_rolled_as_soon_as_they_close_and_settle_afterwards(samples: Samples) -> None:
    patient = samples.roller(settling=3600)
    last = DAY + timedelta(days=1) - timedelta(seconds=1)
    samples.write(sample("d", last))
    drain(patient, last + timedelta(seconds=1))
    assert {key[2] for key in samples.rows()} == {"1m", "1h", "1d"}
    assert differences(samples, DAY + timedelta(days=1)) == []
    samples.write(sample("d", last - timedelta(seconds=1), fine=2.0))
    samples.connection.execute("UPDATE dirty SET marked_at = marked_at - interval '1 hour'")
    assert drain(patient, FAR) == 2  # the minute; its hour waits
    samples.connection.execute("UPDATE dirty SET marked_at = marked_at - interval '1 hour'")
    assert drain(patient, FAR) == 2  # the hour; its day waits
    samples.connection.execute("UPDATE dirty SET marked_at = marked_at - interval '1 hour'")
    assert drain(patient, FAR) == 2
    assert differences(samples, FAR) == []


def test_a_day_waits_for_the_hours_that_are_due_in_it(samples: Samples) -> None:
    samples.write(sample("d", DAY + timedelta(hours=3)), sample("d", DAY + timedelta(hours=23, minutes=59)))
    one = samples.roller()
    while one.roll_minutes(FAR, 64).shards:
        pass
    # A whole shard's hours are rolled one at a time, and the first of them marks the day.
    while len([key for key in samples.rows() if key[1] == "d" and key[2] == "1h"]) < 2:
        assert one.roll_wider("1h").shards == 1
        if ("1d", samples.entity("one", "d")[1], DAY, None) in samples.markers():
            waits = [marker for marker in samples.markers() if marker[0] == "1h" and marker[3] is None]
            while one.roll_wider("1d").shards:
                pass
            assert bool(waits) == (samples.row("one", "d", "1d", DAY) is None)
    drain(one, FAR)
    assert differences(samples, FAR) == []


def test_windows_below_the_horizon_stay_as_they_are(samples: Samples) -> None:
    moments = [DAY + timedelta(hours=1), NOON]
    samples.write(*(sample("d", moment) for moment in moments))
    one = samples.roller()
    drain(one, FAR)
    before = samples.rows()
    # What maintain does: raise the floor, then drop what lies below.
    samples.connection.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [NOON])
    samples.connection.execute("DELETE FROM sample WHERE effective_time < %s", [NOON])
    for moment in moments:
        samples.write(sample("d", moment + timedelta(seconds=1), fine=8.0))
    done = one.roll_minutes(FAR, 64)
    while (more := one.roll_minutes(FAR, 64)).shards:
        done = rolling.Rolled(0, done.windows + more.windows, done.below_horizon + more.below_horizon)
    assert (done.windows, done.below_horizon) == (2, 2)
    drain(one, FAR)
    after = samples.rows()
    assert [key for key in before if before[key] != after[key]] == [
        key for key in before if key[3] == NOON or key[2] == "1d"
    ]
    samples.connection.execute("UPDATE horizon SET floor = %s WHERE store = 'rollup_1m'", [FAR])
    samples.write(sample("d", NOON + timedelta(seconds=2), fine=9.0))
    drain(one, FAR)
    assert samples.row("one", "d", "1h", NOON)["counts"] == [2]  # type: ignore[index]


def test_the_floor_waits_for_a_roll_that_reads_above_it(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.write(sample("d", NOON))
    real = rolling._roll_minutes
    refused = []

    def raise_floor_first(*arguments: Any) -> int:
        with psycopg.connect(samples.dsn) as other:
            other.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [FAR])
            refused.append(True)
        return real(*arguments)

    monkeypatch.setattr(rolling, "_roll_minutes", raise_floor_first)
    samples.roller().roll_minutes(FAR, 64)
    assert refused


def test_a_window_without_samples_any_more_has_no_row(samples: Samples) -> None:
    samples.write(sample("d", NOON), sample("e", NOON))
    one = samples.roller()
    drain(one, FAR)
    gone, _ = samples.entity("one", "d")
    samples.connection.execute("DELETE FROM sample WHERE entity_key = %s", [gone])
    samples.written = [one for one in samples.written if one.device != "d"]
    samples.connection.execute(
        "INSERT INTO dirty (resolution, shard, window_start, entity_key)"
        " SELECT '1m', shard, %s, CASE WHEN device_id IS NULL THEN entity_key END FROM entity",
        [NOON],
    )
    drain(one, FAR)
    assert differences(samples, FAR) == []
    assert samples.row("one", "d", "1d", DAY) is None
    told = samples.connection.execute("SELECT resolution FROM change WHERE entity_key = %s", [gone]).fetchall()
    assert {resolution for (resolution,) in told} == {"1m", "1h", "1d"}


def test_an_event_without_metrics_makes_no_row(samples: Samples) -> None:
    samples.write(Sample("one", "d", NOON, {}))
    drain(samples.roller(), FAR)
    assert samples.rows() == {}
    assert samples.markers() == []


def test_a_fleets_95th_percentile_is_that_of_all_its_samples(samples: Samples) -> None:
    chance = random.Random(1)
    readings: list[float] = []
    made = []
    for number in range(20):
        for second in range(0, 3600, 100):
            # One device in ten runs hot.
            reading = round(chance.gauss(90 if number % 10 == 0 else 40, 2), 2)
            readings.append(reading)
            made.append(sample(f"device-{number}", NOON + timedelta(seconds=second), fine=reading))
    chance.shuffle(made)
    samples.write(*made)
    drain(samples.roller(), FAR)
    row = samples.row("one", None, "1h", NOON)
    assert row is not None
    about, by = percentile(sorted(readings), 0.95, 0.01)
    assert abs(row["p95s"][0] - about) <= by
    devices = [found["p95s"][0] for key, found in samples.rows().items() if key[1] and key[2] == "1h"]
    assert len(devices) == 20
    assert abs(fmean(devices) - about) > 20


def test_changes_are_written_by_fleet_at_first_and_by_name_afterwards(samples: Samples) -> None:
    samples.write(*(sample(f"d{number}", NOON) for number in range(30)))
    one = samples.roller()
    drain(one, NOON + MINUTE)
    whole, _ = samples.entity("one", None)
    told = samples.connection.execute("SELECT fleet_id, entity_key, resolution, window_start FROM change").fetchall()
    assert set(told) == {("one", None, "1m", NOON), ("one", whole, "1m", NOON)}
    samples.connection.execute("DELETE FROM change")
    samples.write(sample("d3", NOON, fine=2.0))
    drain(one, NOON + MINUTE)
    told = samples.connection.execute("SELECT fleet_id, entity_key, resolution, window_start FROM change").fetchall()
    assert sorted(told) == sorted([("one", samples.entity("one", "d3")[0], "1m", NOON), ("one", whole, "1m", NOON)])


def test_a_missing_partition_is_made_and_the_step_taken_again(samples: Samples) -> None:
    samples.write(sample("d", NOON))
    ((name,),) = samples.connection.execute(
        "SELECT partition_name FROM partitions_of('rollup_1m') WHERE span @> %s::timestamptz", [NOON]
    ).fetchall()
    samples.connection.execute(f"DROP TABLE {name}")
    one = samples.roller()
    with pytest.raises(Retryable, match="partition"):
        drain(one, FAR)
    drain(one, FAR)
    assert differences(samples, FAR) == []


def test_shards_whose_windows_cannot_be_computed_are_named_and_the_others_continue(samples: Samples) -> None:
    # More than any device may say: two of them are more than a number can hold.
    samples.write(*(sample("bad", NOON + timedelta(seconds=second), coarse=1.7e308) for second in range(2)))
    samples.write(sample("good", NOON, fleet="two"))
    bad = {samples.entity("one", device)[1] for device in ("bad", None)}
    assert not bad & {samples.entity("two", device)[1] for device in ("good", None)}
    one = samples.roller()
    with pytest.raises(UnrollableError) as told:
        one.roll_minutes(FAR, 64)
    assert bad <= told.value.shards
    while one.roll_minutes(FAR, 64, bad).shards or any(one.roll_wider(wider, bad).shards for wider in NARROWER):
        pass
    assert {key[:3] for key in samples.rows()} == {
        ("two", device, resolution) for device in ("good", None) for resolution in ("1m", "1h", "1d")
    }


def test_what_is_covered_is_read_by_partition(samples: Samples) -> None:
    samples.connection.execute(
        "INSERT INTO coverage (consumer, topic, partition, offsets, received_until) VALUES"
        " ('aggregate', 'raw-events', 0, '{[5,9),[11,20)}', %s), ('aggregate', 'raw-events', 1, '{}', '-infinity'),"
        " ('aggregate', 'replay-events', 0, '{[0,2)}', %s), ('archive', 'raw-events', 2, '{[0,2)}', %s)",
        [NOON, NOON, NOON],
    )
    covered = samples.roller().read_covered("aggregate", "raw-events")
    assert covered == {0: Covered(20, NOON), 1: Covered(0, None)}
