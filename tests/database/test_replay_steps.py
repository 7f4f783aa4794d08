"""The steps of a replay on a real database: each may be asked again, and none goes on before its time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from sluice.core.limits import Limits
from sluice.core.offsets import Extent
from sluice.core.records import KafkaRecord
from sluice.core.replay.plan import Plan, PlanRefusedError, describe
from sluice.edge.replay.steps import LONGEST_FOR_DAYS, MOST_MAPS, ChunksMissingError, Machine, NeverSentError, Steps
from sluice.edge.rollup_archive.database import lock_files
from tests.database.aggregating import Sent, Tables
from tests.database.replaying import Replayer, connect_as, make_plan, replayed

HOUR = timedelta(hours=1)
FIRST = datetime(2026, 1, 31, 21, tzinfo=UTC)


@dataclass
class Topic:
    """What the brokers say of a topic."""

    extents: dict[int, Extent] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)

    def ask_extents(self) -> dict[int, Extent]:
        return dict(self.extents)

    def ask_since(self, moment: datetime, partitions: Any) -> dict[int, int]:
        del moment, partitions
        return dict(self.since)


@dataclass
class World:
    """The brokers, buckets and executions around the steps."""

    raw: Topic = field(default_factory=Topic)
    replay: Topic = field(default_factory=Topic)
    running: set[str] = field(default_factory=set)
    stored: dict[str, bytes] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def remove(self, name: str) -> None:
        self.removed.append(name)

    def check(self, _connection: object, _plan: Plan) -> None:
        """Find every file as it was."""

    def find_files_of(self, _connection: object, _plan: Plan) -> dict[str, tuple[str, int]]:
        return {}

    def find_reach(self, _connection: object, _plan: Plan) -> None:
        """Compute no expired hours."""

    def put(self, name: str, data: bytes, content_type: str) -> None:
        assert content_type == "application/json"
        self.stored[name] = data

    def machine(self) -> Machine:
        me: Any = self
        raw: Any = self.raw
        replay: Any = self.replay
        return Machine(
            "test", "us-east-1", me, me, me, me, raw, replay, Limits(), 1024, lambda one: one in self.running
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def steps(database: str, world: World) -> Iterator[Steps]:
    connection = connect_as(database, "replay")
    yield Steps(world.machine(), connection, lambda: True)
    connection.close()


@pytest.fixture
def tables(database: str) -> Iterator[Tables]:
    found = Tables(database)
    with found.connection:
        yield found


@pytest.fixture
def replay(database: str) -> Iterator[Replayer]:
    begun = Replayer(database, make_plan("demo", FIRST, FIRST + HOUR))
    yield begun
    begun.close()


def claim(steps: Steps, plan: Plan, execution: str) -> dict[str, Any]:
    return steps.claim({"execution": execution, "input": {"plan": json.loads(json.dumps(describe(plan)))}})


def extents_of(records: list[KafkaRecord], more: int = 0) -> dict[int, Extent]:
    """The extents of a topic that has these records, and more behind them."""
    places: dict[int, list[int]] = {}
    for one in records:
        places.setdefault(one.origin.partition, []).append(one.origin.offset)
    return {partition: Extent(min(held), max(held) + 1 + more) for partition, held in places.items()}


def audited(tables: Tables) -> list[str]:
    return [json.loads(str(entry))["action"] for (entry,) in tables.rows("SELECT entry FROM audit ORDER BY number")]


def test_a_plan_that_is_applied_twice_takes_effect_once(steps: Steps, world: World, tables: Tables) -> None:
    plan = make_plan("demo", FIRST, FIRST + HOUR)
    world.running = {"one", "two"}
    first = claim(steps, plan, "one")
    assert first["next"] == "gather"
    # The machine asks again when the answer did not arrive.
    assert claim(steps, plan, "one") == first
    assert claim(steps, plan, "two") == first | {"next": "already_applied"}
    assert tables.rows("SELECT count(*) FROM replay") == [(1,)]
    assert audited(tables) == ["replay.begin"]


def test_a_replay_whose_execution_was_stopped_is_finished_by_another(
    steps: Steps, world: World, tables: Tables
) -> None:
    plan = make_plan("demo", FIRST, FIRST + HOUR)
    first = claim(steps, plan, "one")
    world.running = {"two"}
    assert claim(steps, plan, "two") == first
    assert tables.rows("SELECT execution FROM replay") == [("two",)]


def test_two_replays_do_not_change_the_same_hours_at_once(steps: Steps) -> None:
    claim(steps, make_plan("demo", FIRST, FIRST + 2 * HOUR), "one")
    with pytest.raises(PlanRefusedError) as refused:
        claim(steps, make_plan("demo", FIRST + HOUR, FIRST + 3 * HOUR), "two")
    assert refused.value.code == "replay_overlaps"
    assert claim(steps, make_plan("demo", FIRST + 2 * HOUR, FIRST + 3 * HOUR), "three")["next"] == "gather"
    assert claim(steps, make_plan("other", FIRST, FIRST + HOUR), "four")["next"] == "gather"


def test_a_plan_from_before_another_replay_of_its_hours_is_outdated(steps: Steps, tables: Tables) -> None:
    old = make_plan("demo", FIRST, FIRST + 2 * HOUR)
    claim(steps, make_plan("demo", FIRST, FIRST + HOUR), "one")
    with tables.connection.transaction():
        tables.connection.execute("UPDATE replay SET state = 'done', ended_at = clock_timestamp()")
    with pytest.raises(PlanRefusedError) as refused:
        claim(steps, old, "two")
    assert refused.value.code == "plan_outdated"
    assert claim(steps, make_plan("demo", FIRST, FIRST + 2 * HOUR), "three")["next"] == "gather"


@pytest.mark.parametrize(("since", "waits_for"), [({}, 10), ({0: 4}, 4)])
def test_a_replay_waits_until_raw_has_and_aggregate_has_read_what_was_stored_when_it_began(
    steps: Steps, world: World, replay: Replayer, tables: Tables, since: dict[int, int], waits_for: int
) -> None:
    asked = {"replay_number": replay.number}
    # Records that came long after the hours cannot count in them.
    world.raw.extents, world.raw.since = {0: Extent(0, 10)}, since
    assert steps.gather(asked) == asked | {"next": "gather", "waits_for": 2 * waits_for}
    # What is stored meanwhile is not waited for.
    world.raw.extents = {0: Extent(0, 500)}
    for left, consumer in ((2, "archive"), (1, "aggregate")):
        assert steps.gather(asked)["waits_for"] == left * waits_for
        tables.connection.execute(
            "INSERT INTO coverage (consumer, topic, partition, offsets)"
            " VALUES (%s, 'raw-events', 0, int8multirange(int8range(0, %s)))",
            [consumer, waits_for],
        )
    done = steps.gather(asked)
    assert done["next"] == "resend"
    assert json.loads(world.stored[done["manifest"]]) == []
    assert steps.gather(asked) == done


def test_a_replay_is_drained_when_recount_has_read_all_that_was_sent(
    steps: Steps, world: World, replay: Replayer
) -> None:
    moment = FIRST + timedelta(minutes=30)
    sent = [Sent(offset, moment, moment, event_id=f"{offset:032x}") for offset in range(9)]
    records = [replayed(one, replay.number, place) for place, one in enumerate(sent)]
    replay.tables.set_chunks(replay.number, 0)
    replay.tables.move(replay.number, ["gathering"], "resending")
    world.replay.extents = extents_of(records)
    asked = {"replay_number": replay.number}
    replay.recount(records[:6])
    for _ in range(2):
        assert steps.drain(asked) == asked | {"next": "drain", "waits_for": 3}
        assert replay.replay.state == "draining"
        # What other replays send later is not waited for.
        world.replay.extents = extents_of(records, more=100)
    replay.recount(records[6:])
    assert steps.drain(asked)["next"] == "swap"
    assert replay.replay.counts["recounted"] == 9
    assert steps.drain(asked)["next"] == "swap"


def test_chunks_that_were_not_sent_are_asked_for_again_but_not_for_ever(
    steps: Steps, replay: Replayer, tables: Tables
) -> None:
    replay.tables.set_chunks(replay.number, 2)
    replay.tables.move(replay.number, ["gathering"], "resending")
    with tables.connection.transaction():
        tables.connection.execute("INSERT INTO replay_chunk VALUES (%s, 0, 5, NULL)", [replay.number])
    for _ in range(MOST_MAPS - 1):
        with pytest.raises(ChunksMissingError, match="1 of 2 chunks"):
            steps.drain({"replay_number": replay.number})
    with pytest.raises(NeverSentError):
        steps.drain({"replay_number": replay.number})
    assert replay.replay.state == "resending"


def test_a_chunk_of_an_older_resend_refuses_a_replay_that_must_read_further_back(
    database: str, steps: Steps, tables: Tables
) -> None:
    begun = Replayer(database, make_plan("demo", FIRST, FIRST + HOUR, reprocess=True))
    begun.tables.set_chunks(begun.number, 2)
    begun.tables.move(begun.number, ["gathering"], "resending")
    sent = "INSERT INTO replay_chunk (replay_number, chunk, events, reaches_back) VALUES (%s, 0, 5, true)"
    tables.connection.execute(sent, [begun.number])
    # As a release writes it that does not know the column.
    tables.connection.execute(
        "INSERT INTO replay_chunk (replay_number, chunk, events) VALUES (%s, 1, 5)", [begun.number]
    )
    with pytest.raises(PlanRefusedError) as refused:
        steps.drain({"replay_number": begun.number})
    assert refused.value.code == "events_left_out"
    tables.connection.execute("UPDATE replay_chunk SET reaches_back = true")
    with pytest.raises(PlanRefusedError) as refused:
        steps.drain({"replay_number": begun.number})
    # It goes on to look for them.
    assert refused.value.code == "generation_empty"
    begun.close()


def test_a_file_that_cannot_be_read_refuses_the_replay(steps: Steps, replay: Replayer, tables: Tables) -> None:
    replay.tables.set_chunks(replay.number, 1)
    replay.tables.move(replay.number, ["gathering"], "resending")
    with tables.connection.transaction():
        tables.connection.execute("INSERT INTO replay_chunk VALUES (%s, 0, 0, 'no Parquet')", [replay.number])
    with pytest.raises(PlanRefusedError, match="no Parquet") as refused:
        steps.drain({"replay_number": replay.number})
    assert refused.value.code == "file_unreadable"


@pytest.mark.parametrize("state", ["gathering", "resending", "draining"])
def test_a_replay_that_fails_before_its_swap_ends_with_its_reason(
    steps: Steps, replay: Replayer, tables: Tables, state: str
) -> None:
    replay.tables.move(replay.number, ["gathering"], state)
    error = {"Error": "PlanRefusedError", "Cause": "a file has changed"}
    failed = {"replay_number": replay.number, "next": "failed"}
    assert steps.fail({"replay_number": replay.number, "error": error}) == failed
    assert (replay.replay.state, replay.replay.reason) == ("failed", "PlanRefusedError: a file has changed")
    assert tables.rows("SELECT to_regclass('generation_' || %s)", replay.number) == [(None,)]
    # Asked again, it says the same and writes nothing twice.
    assert steps.fail({"replay_number": replay.number, "error": error}) == failed
    assert audited(tables) == ["replay.end"]


def test_a_replay_that_fails_in_its_swap_stays_for_another_execution(
    steps: Steps, replay: Replayer, tables: Tables
) -> None:
    replay.tables.move(replay.number, ["gathering"], "swapping")
    steps.fail({"replay_number": replay.number, "error": {"Error": "Retryable", "Cause": "away"}})
    assert replay.replay.state == "swapping"
    assert replay.replay.counts["trouble"] == "Retryable: away"
    assert tables.rows("SELECT to_regclass('generation_' || %s) IS NULL", replay.number) == [(False,)]
    assert claim(steps, replay.plan, "another")["replay_number"] == replay.number


def test_a_swap_of_expired_hours_waits_for_the_end_of_a_run_of_tier(
    database: str, steps: Steps, tables: Tables
) -> None:
    begun = Replayer(database, make_plan("demo", FIRST, FIRST + HOUR, reprocess=True))
    begun.tables.move(begun.number, ["gathering"], "swapping")
    tables.connection.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [FIRST + HOUR])
    asked = {"replay_number": begun.number}
    with connect_as(database, "tier") as tier:
        assert lock_files(tier)
        assert steps.swap(asked) == asked | {"next": "swap", "waits_for": "tier"}
    assert steps.swap(asked)["next"] == "verify"
    begun.close()


def test_what_a_stopped_swap_has_published_and_not_listed_is_swept_unless_tier_runs(
    database: str, steps: Steps, world: World, tables: Tables
) -> None:
    tables.connection.execute("INSERT INTO unlisted_file (object) VALUES ('rollups/left'), ('rollups/listed')")
    tables.connection.execute(
        "INSERT INTO tiered VALUES ('1m', '2026-01-31', '2026-02-01', 'rollups/listed', 0, '', '', '', '', '')"
    )
    with connect_as(database, "tier") as tier:
        assert lock_files(tier)
        steps.sweep()
        assert world.removed == []
    steps.sweep()
    assert world.removed == ["rollups/left"]
    assert tables.rows("SELECT * FROM unlisted_file") == []


def test_a_replay_that_does_not_verify_ends_since_its_swap_is_over(
    steps: Steps, replay: Replayer, tables: Tables
) -> None:
    replay.tables.move(replay.number, ["gathering"], "verifying")
    steps.fail({"replay_number": replay.number, "error": {"Error": "UnverifiedError", "Cause": "2 windows"}})
    assert (replay.replay.state, replay.replay.reason) == ("failed", "UnverifiedError: 2 windows")
    assert tables.rows("SELECT to_regclass('generation_' || %s) IS NULL", replay.number) == [(True,)]


def test_replays_whose_execution_was_stopped_are_swept_unless_they_swap(
    database: str, steps: Steps, world: World, tables: Tables
) -> None:
    begun = [
        Replayer(database, make_plan("demo", FIRST + number * HOUR, FIRST + (number + 1) * HOUR)) for number in range(4)
    ]
    for one, state in zip(begun, ("gathering", "cancelling", "swapping", "draining"), strict=True):
        one.tables.move(one.number, ["gathering"], state)
    world.running = {"running"}
    begun[3].tables.adopt(begun[3].number, "running")
    assert steps.sweep() == {"swept": [begun[0].number, begun[1].number]}
    assert [one.replay.state for one in begun] == ["cancelled", "cancelled", "swapping", "draining"]
    assert steps.sweep() == {"swept": []}
    assert audited(tables) == ["replay.end"] * 2
    for one in begun:
        one.close()


def mark(tables: Tables, resolution: str, window: datetime, marked_at: datetime) -> None:
    """Mark a window of a device of the fleet."""
    tables.connection.execute(
        "INSERT INTO dirty (resolution, shard, window_start, entity_key, marked_at)"
        " SELECT %s, shard, %s, entity_key, %s FROM entity WHERE fleet_id = 'demo' AND device_id = 'press-1'",
        [resolution, window, marked_at],
    )


def test_a_replay_ends_when_its_days_are_merged_or_says_after_a_while_that_they_are_not(
    database: str, world: World, replay: Replayer, tables: Tables
) -> None:
    now, day = FIRST + 2 * timedelta(days=1), FIRST.replace(hour=0)
    tables.connection.execute("UPDATE shard SET closed_until = %s", [now])
    tables.connection.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('demo', 'press-1', 7)")
    replay.tables.move(replay.number, ["gathering"], "verifying")
    asked = {"replay_number": replay.number}
    with connect_as(database, "replay") as connection:

        def verify(later: timedelta = timedelta(0)) -> dict[str, Any]:
            machine = msgspec.structs.replace(world.machine(), clock=lambda: now + later)
            return Steps(machine, connection, lambda: True).verify(asked)

        # Hours are due at once when the minutes are computed, and not before.
        mark(tables, "1m", FIRST, now)
        mark(tables, "1h", FIRST, now)
        assert verify() == asked | {"next": "verify", "waits_for": 2}
        due = "SELECT resolution, marked_at - window_start FROM dirty"
        assert dict(tables.rows(due))["1h"] > HOUR
        tables.connection.execute("DELETE FROM dirty WHERE resolution = '1m'")
        assert verify()["waits_for"] == 1
        assert dict(tables.rows(due)) == {"1h": timedelta(microseconds=1)}
        # Roll takes the hour, and marks its day.
        tables.connection.execute("DELETE FROM dirty")
        mark(tables, "1d", day, now)
        assert verify() == asked | {"next": "verify", "waits_for": 1}
        assert dict(tables.rows(due)) == {"1d": timedelta(microseconds=1)}
        # A day of another time, and one that is not over, are not waited for.
        mark(tables, "1d", day + timedelta(days=2), now)
        assert verify(LONGEST_FOR_DAYS - timedelta(seconds=1))["waits_for"] == 1
        assert verify(LONGEST_FOR_DAYS)["next"] == "done"
    assert (replay.replay.state, replay.replay.counts["days_behind"]) == ("done", 1)


def test_a_replay_whose_days_are_merged_ends_at_once(steps: Steps, replay: Replayer, tables: Tables) -> None:
    replay.tables.move(replay.number, ["gathering"], "verifying")
    assert steps.verify({"replay_number": replay.number})["next"] == "done"
    assert replay.replay.counts["days_behind"] == 0
    assert audited(tables) == ["replay.end"]
