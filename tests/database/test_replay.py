"""After a replay, the numbers are those of the events, as if this release had computed them once."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sluice.core.times import LATE_ARRIVAL
from tests.database.aggregating import Processes, Sent, Tables, read
from tests.database.replaying import Replayer, make_plan
from tests.database.streams import EVENTS, Pipeline, Stream, stored
from tests.support.recomputation import find_differences, read_numbers, recompute

HOUR = timedelta(hours=1)
FIRST, LAST = datetime(2026, 1, 31, 21, tzinfo=UTC), datetime(2026, 2, 1, 3, tzinfo=UTC)
"""Hours that hold every event of a stream but the oldest late ones."""


@pytest.fixture
def replay(database: str) -> Iterator[Callable[..., Replayer]]:
    made: list[Replayer] = []

    def begin(fleet_id: str, start: datetime = FIRST, end: datetime = LAST, **settings: Any) -> Replayer:
        made.append(Replayer(database, make_plan(fleet_id, start, end, **settings)))
        return made[-1]

    yield begin
    for one in made:
        one.close()


@pytest.fixture
def tables(database: str) -> Iterator[Tables]:
    found = Tables(database)
    with found.connection:
        yield found


@pytest.fixture
def pipeline(database: str) -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def make(stream: Stream, seed: int, **settings: Any) -> Pipeline:
        made.append(Pipeline(database, stream, random.Random(seed), **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def fill(seed: int) -> Stream:
    stream = Stream(random.Random(seed))
    stream.fill()
    return stream


def everything(stream: Stream) -> list[Sent]:
    return [sent for held in stream.partitions.values() for sent in held]


def stored_numbers(database: str) -> list[Any]:
    with psycopg.connect(database, options="-c timezone=UTC") as connection:
        return connection.execute("SELECT * FROM rollups ORDER BY 1, 2, 3, 5, 6").fetchall()


@pytest.mark.parametrize("seed", range(2))
def test_a_replay_of_what_was_counted_right_changes_nothing_and_marks_nothing(
    database: str,
    pipeline: Callable[..., Pipeline],
    replay: Callable[..., Replayer],
    tables: Tables,
    seed: int,
) -> None:
    stream = fill(seed)
    pipeline(stream, seed).run()
    before = tables.rows("SELECT * FROM sample ORDER BY 1, 2, 3"), stored_numbers(database), tables.outcomes("north")
    again = replay("north")
    sent = everything(stream)
    random.Random(seed).shuffle(sent)
    assert again.resend(sent) > 0
    # A chunk that was sent twice.
    assert again.resend(sent) == 0
    again.swap()
    assert again.changes() == (0, 0)
    after = tables.rows("SELECT * FROM sample ORDER BY 1, 2, 3"), stored_numbers(database), tables.outcomes("north")
    assert before == after
    assert tables.rows("SELECT * FROM dirty") == []


@pytest.mark.parametrize("seed", range(2))
def test_after_a_release_that_counted_wrong_a_replay_leaves_the_numbers_as_if_it_had_never_been(
    database: str, pipeline: Callable[..., Pipeline], replay: Callable[..., Replayer], seed: int
) -> None:
    stream, draw = fill(seed), random.Random(seed)
    right = everything(stream)
    # It read some values wrong, some times wrong, and left some events out.
    for held in stream.partitions.values():
        held[:] = [spoil(sent, draw) for sent in held]
    flow = pipeline(stream, seed)
    flow.run()
    expected = recompute(stored(sent) for sent in right)
    assert find_differences(expected, read_numbers(database))
    for fleet_id in ("north", "south"):
        again = replay(fleet_id)
        again.resend(right)
        # It dies in the middle of the swap, and another process goes on.
        assert again.swap(most_units=40) > 0
        again.swap()
        assert sum(again.changes()) > 0
    flow.run()
    differences = find_differences(expected, read_numbers(database))
    assert not differences, "\n".join([f"{len(differences)} differences", *differences[:20]])


def spoil(sent: Sent, draw: random.Random) -> Sent:
    if counts_late(sent) or draw.random() < 0.5:
        return sent
    return replace(sent, metrics={name: value * 1.8 + 32 for name, value in sent.metrics.items()})


def counts_late(sent: Sent) -> bool:
    return LATE_ARRIVAL in stored(sent).flags


def test_late_events_count_in_their_own_windows_only_when_a_replay_includes_them(
    database: str, pipeline: Callable[..., Pipeline], replay: Callable[..., Replayer]
) -> None:
    stream = fill(7)
    flow = pipeline(stream, 7)
    flow.run()
    raw = [stored(sent) for sent in everything(stream)]
    without = recompute(raw)
    included = recompute(
        replace(event, flags=tuple(flag for flag in event.flags if flag != LATE_ARRIVAL))
        if event.fleet_id == "north" and FIRST <= event.counts_at < LAST
        else event
        for event in raw
    )
    assert included != without
    # A late event that was counted stays, until everything is computed again without it.
    for expected, settings in (
        (included, {"include_late": True}),
        (included, {"include_late": True}),
        (included, {}),
        (without, {"reprocess": True}),
    ):
        again = replay("north", **settings)
        again.resend(everything(stream))
        again.swap()
        flow.run()
        assert not find_differences(expected, read_numbers(database))


def test_events_that_aggregate_never_counted_or_gave_up_are_counted_and_accounted_for(
    database: str, pipeline: Callable[..., Pipeline], replay: Callable[..., Replayer], tables: Tables
) -> None:
    stream = fill(9)
    right = everything(stream)
    lost = {number: held[20:60] for number, held in stream.partitions.items()}
    flow = pipeline(stream, 9, skipping=lost)
    flow.run()
    assert sum(tables.outcomes(fleet).get("counted", 0) for fleet in ("north", "south")) < EVENTS - 100
    for fleet_id in ("north", "south"):
        again = replay(fleet_id)
        again.resend(right)
        again.swap()
    flow.run()
    assert not find_differences(recompute(map(stored, right)), read_numbers(database))
    within = [sent for sent in right if FIRST <= stored(sent).counts_at < LAST]
    assert sum(sum(tables.outcomes(fleet).values()) for fleet in ("north", "south")) >= len(within)


def test_what_comes_in_while_a_replay_runs_stays_and_is_counted_once(
    database: str, replay: Callable[..., Replayer], tables: Tables
) -> None:
    moment = FIRST + timedelta(minutes=30)
    events = [
        Sent(offset, moment, moment + timedelta(seconds=offset), event_id=f"{offset:032x}") for offset in range(9)
    ]
    processes = Processes(database)
    live = processes.start()
    live.add(read(events[:3]), set())
    again = replay("demo")
    # Some of them are in raw by the time resend reads it, and some are not.
    live.add(read(events[3:6]), set())
    again.resend(events[:5])
    live.add(read(events[6:]), set())
    again.swap()
    processes.end()
    assert [key.int for _, key, _, _ in tables.samples()] == list(range(9))
    assert again.changes() == (0, 0)


def test_a_swap_that_dies_within_an_hour_of_a_shard_has_changed_nothing_of_it(
    database: str, replay: Callable[..., Replayer], tables: Tables
) -> None:
    moment = FIRST + timedelta(minutes=30)
    right = [Sent(offset, moment, moment + timedelta(seconds=offset), event_id=f"{offset:032x}") for offset in range(4)]
    wrong = [replace(sent, metrics={"cpu_temp": 99.0, "vibration_rms": 2.0}) for sent in right[:3]]
    processes = Processes(database)
    processes.start().add(read(wrong), set())
    processes.end()
    again = replay("demo", FIRST, FIRST + HOUR)
    again.resend(right)
    watched = "SELECT * FROM sample ORDER BY 1, 2, 3", "SELECT * FROM dirty ORDER BY 1, 2, 3, 4"
    before = [tables.rows(query) for query in watched]
    statements = 0
    while again.swap_until_death(statements):
        assert [tables.rows(query) for query in watched] == before, statements
        statements += 1
    assert statements > 6
    assert [tables.rows(query) for query in watched] != before
    assert again.changes() == (3, 4)


def test_a_cancelled_replay_leaves_nothing_and_its_records_are_read_and_dropped(
    replay: Callable[..., Replayer], tables: Tables
) -> None:
    moment = FIRST + timedelta(minutes=30)
    events = [Sent(offset, moment, moment, event_id=f"{offset:032x}") for offset in range(4)]
    again = replay("demo")
    assert again.resend(events[:2]) == 2
    assert again.tables.end(again.number, ["gathering"], "cancelled", "a test")
    before = tables.covered("replay-events")
    assert again.resend(events) == 0
    assert tables.covered("replay-events") != before
    assert tables.samples() == []
    assert tables.rows("SELECT to_regclass('generation_' || %s)", again.number) == [(None,)]


def test_what_aggregate_has_not_come_to_yet_stays_its_own_to_account_for(
    database: str, replay: Callable[..., Replayer], tables: Tables
) -> None:
    moment = FIRST + timedelta(minutes=30)
    second = timedelta(seconds=1)
    events = [Sent(offset, moment, moment + offset * second, event_id=f"{offset:032x}") for offset in range(6)]
    processes = Processes(database)
    live = processes.start()
    # It has lost the second one, and is still to read the last three.
    live.add(read([events[0], events[2]]), set())
    again = replay("demo")
    again.resend(events)
    again.swap()
    assert tables.covered() == {0: [(0, 3)]}
    live.add(read(events[3:]), set())
    processes.end()
    assert tables.covered() == {0: [(0, 6)]}
    assert tables.outcomes() == {"counted": 3, "duplicate": 3}
    assert len(tables.samples()) == 6


def test_an_invocation_that_its_replay_has_outlived_swaps_nothing(
    database: str, replay: Callable[..., Replayer], tables: Tables
) -> None:
    moment = FIRST + timedelta(minutes=30)
    events = [Sent(offset, moment, moment, event_id=f"{offset:032x}") for offset in range(3)]
    processes = Processes(database)
    processes.start().add(read(events), set())
    processes.end()
    again = replay("demo", reprocess=True)
    left = again.swap(most_units=0)
    # Another execution has finished it meanwhile, and its generation is gone.
    again.tables.move(again.number, ["swapping"], "verifying")
    assert again.tables.end(again.number, ["verifying"], "done")
    assert again.swap() == left
    assert len(tables.samples()) == 3
