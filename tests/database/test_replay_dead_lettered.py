"""What aggregate gave up as poison or killer, and a replay counts: the ledger says so, once, whatever happens when."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sluice.core.errors import Ahead, Fault, Killer
from sluice.core.ledger.groups import hour_of
from sluice.core.records import Origin
from sluice.core.replay.records import HEADER, read_replayed
from sluice.core.samples.events import put_down
from sluice.edge.database import Database
from sluice.edge.ledger.dead_lettered import take_dead_lettered
from sluice.edge.ledger.given_up import leave_gaps
from sluice.edge.query.reading import Reader
from sluice.edge.query.rollups import RollupReader
from sluice.edge.redrive import giving
from sluice.edge.replay import counting_back
from sluice.edge.replay.recounting import Recounting
from sluice.edge.samples.numbering import Numbering
from sluice.edge.trace.traces import TraceReader
from tests.database.aggregating import LIMITS, Processes, Sent, now, read
from tests.database.redriving import EXPIRED, GAPS, POISON, World
from tests.database.replaying import Replayer, connect_as, make_plan, replayed
from tests.database.stored import letter_of
from tests.support import samples

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KILLER = Killer("it ended its process three times", 3, deadly=True)
NOTED = "SELECT kafka_offset::int FROM dead_lettered_record ORDER BY 1"
BACK = "SELECT replay_number, partition, offsets::text FROM counted_back ORDER BY 1, 2"


class Stage(World):
    """A stage that may replay, too."""

    def __init__(self, dsn: str, processes: Processes) -> None:
        super().__init__(dsn, processes)
        self._replays: list[Replayer] = []
        self.others: dict[int, Sent] = {}
        """Records that are not like the others, by offset."""

    def sent(self, offset: int) -> Sent:
        return self.others.get(offset) or super().sent(offset)

    def plan(
        self, offsets: Sequence[int], *, since: datetime | None = None, more: Sequence[Sent] = (), **settings: Any
    ) -> Replayer:
        """Fill the generation of a replay of everything that happened, perhaps since a moment."""
        start = hour_of(self.moment) - HOUR
        made = Replayer(self.dsn, make_plan("demo", since or start, start + 3 * HOUR, made_at=now(), **settings))
        self._replays.append(made)
        made.resend([*map(self.sent, offsets), *more])
        return made

    def replay(self, offsets: Sequence[int], **settings: Any) -> int:
        """Replay some records to the end of the swap; return the replay's number."""
        made = self.plan(offsets, **settings)
        assert made.swap() == 0
        made.tables.end(made.number, ["swapping"], "done")
        return made.number

    def close(self) -> None:
        for one in self._replays:
            one.close()
        super().close()

    @property
    def closed(self) -> list[bool]:
        return [group["state"] == "closed" for group in self.groups()]


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    processes = Processes(database)
    found = Stage(database, processes)
    yield found
    found.close()
    processes.end()


@pytest.mark.shows_loss_path(
    fails="aggregate gave a record up that a later release can read",
    section="Between Kafka and the stores",
    event_is="in raw, and in the dead letters",
    told="no one, within the allowance",
    comes_back="a replay of its hour or a re-drive of its letter counts it, once, and the statement says so",
)
@pytest.mark.parametrize("fault", [POISON, KILLER, EXPIRED, Ahead("telemetry 9")])
def test_what_aggregate_gave_up_and_a_replay_counts_is_counted_and_its_group_closes(stage: Stage, fault: Fault) -> None:
    stage.writer.add(read([stage.sent(0)]), set())
    letters = stage.give_up("aggregate", fault, [1, 2, 3])
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 1, "dead_lettered": 3}, [False])
    number = stage.replay([0, 1, 2])
    assert stage.tables.outcomes() == {"counted": 3, "dead_lettered": 1}
    assert stage.tables.rows(BACK) == [(number, 0, "{[1,3)}")]
    (group,) = stage.groups()
    assert (group["state"], group["accounted"]) == ("open", 2)
    stage.replay([0, 1, 2, 3])
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 4, "dead_lettered": 0}, [True])
    assert (stage.tables.rows(NOTED), stage.tables.rows(GAPS)) == ([], [])
    # Another replay, and a re-drive of the letters, find nothing left to count.
    stage.replay([0, 1, 2, 3])
    redrive = stage.begin(letters, "aggregate")
    assert stage.run() == 0
    assert stage.state(redrive) == ("done", None)
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 4, "dead_lettered": 0}, [True])
    assert len(stage.tables.samples()) == 4


def test_a_letter_that_reconcile_counted_before_aggregate_is_moved_as_well(stage: Stage) -> None:
    stage.writer.add(read([stage.sent(0)]), set())
    letters = [letter_of(stage.sent(offset), "aggregate", stage.moment, KILLER) for offset in (1, 2)]
    # The same letters are in two objects.
    for place in (0, 100):
        stage.s3.put_letters(letters, offset=place)
        stage.count()
    stage.writer.bury([put_down(stage.sent(offset).record(), KILLER, now()) for offset in (1, 2)])
    assert stage.tables.outcomes() == {"counted": 1, "dead_lettered": 2}
    assert stage.tables.rows(NOTED) == [(1,), (2,)]
    stage.replay([0, 1, 2])
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 3, "dead_lettered": 0}, [True])


def test_a_letter_that_is_counted_only_after_the_swap_changes_nothing_and_is_accounted_for(stage: Stage) -> None:
    # aggregate passed the record over: its letter is stored, and was not covered.
    stage.writer.add(read([stage.sent(0), stage.sent(2)]), set())
    letter = letter_of(stage.sent(1), "aggregate", stage.moment, KILLER)
    stage.replay([0, 1, 2])
    stage.s3.put_letters([letter])
    stage.count()
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 3}, [True])
    redrive = stage.begin([letter], "aggregate")
    assert (stage.run(), stage.state(redrive)) == (0, ("done", None))
    assert (stage.tables.outcomes(), len(stage.tables.samples())) == ({"counted": 3}, 3)


def test_what_a_redrive_has_counted_is_left_to_it_by_a_later_replay(stage: Stage) -> None:
    letters = stage.give_up("aggregate", POISON, [0, 1])
    stage.takers["aggregate"].refuses = {1}
    stage.begin(letters, "aggregate")
    stage.run()
    # The other one is still bad, and still noted.
    assert (stage.tables.outcomes(), stage.tables.rows(NOTED)) == ({"counted": 1, "dead_lettered": 1}, [(1,)])
    stage.replay([0])
    assert (stage.tables.outcomes(), stage.tables.rows(BACK)) == ({"counted": 1, "dead_lettered": 1}, [])
    stage.replay([0, 1])
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 2, "dead_lettered": 0}, [True])


@pytest.mark.shows_fault(
    part="replay",
    fault="of what a re-drive counts at the same time, wherever the re-drive dies",
    expected="it counts once, in the numbers and in the statement",
)
def test_a_replay_in_the_middle_of_a_redrive_counts_once_wherever_the_run_died(stage: Stage) -> None:
    letters = stage.give_up("aggregate", POISON, [0, 1])
    before = [stage.tables.rows(f"SELECT * FROM {table}") for table in ("dead_lettered_record", "outcome")]
    statements = 0
    while True:
        number = stage.begin(letters, "aggregate")
        died = stage.run_until_death(statements)
        stage.replay([0, 1])
        stage.run()
        assert stage.state(number) == ("done", None), statements
        assert stage.tables.outcomes() == {"counted": 2, "dead_lettered": 0}, statements
        assert (stage.closed, stage.tables.rows(GAPS), stage.tables.rows(NOTED)) == ([True], [], []), statements
        if not died:
            break
        statements += 3
        for table in ("redrive", "redrive_letter", "gap", "sample", "outcome", "counted_back"):
            stage.owner.execute(f"DELETE FROM {table}")
        for table, rows in zip(("dead_lettered_record", "outcome"), before, strict=True):
            for row in rows:
                stage.owner.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)
    assert statements > 8


def test_a_redrive_that_begins_while_a_replay_counts_waits_and_finds_it_counted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = stage.give_up("aggregate", POISON, [0, 1])
    number = stage.begin(letters, "aggregate")
    met = []

    def take_and_redrive(*arguments: Any) -> Any:
        taken = take_dead_lettered(*arguments)
        stage.run()
        met.append(stage.state(number))
        return taken

    monkeypatch.setattr(counting_back, "take_dead_lettered", take_and_redrive)
    stage.replay([0, 1])
    assert met == [("sending", "a replay accounts for records of aggregate now")]
    assert (stage.run(), stage.state(number)) == (0, ("done", None))
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 2, "dead_lettered": 0}, [True])
    assert stage.tables.rows(GAPS) == []


def test_a_replay_that_counts_while_a_redrive_begins_waits_for_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = stage.begin(stage.give_up("aggregate", POISON, [0, 1]), "aggregate")
    made = stage.plan([0, 1])
    swapping = threading.Thread(target=made.swap)

    def leave_while_a_replay_counts(*arguments: Any) -> None:
        swapping.start()
        swapping.join(0.5)
        assert swapping.is_alive()
        assert stage.tables.rows(BACK) == []
        leave_gaps(*arguments)

    monkeypatch.setattr(giving, "leave_gaps", leave_while_a_replay_counts)
    stage.run()
    swapping.join(30)
    assert not swapping.is_alive()
    assert stage.state(number) == ("done", None)
    # Whoever comes first accounts for them: to aggregate they are duplicates of what the swap has stored.
    outcomes = stage.tables.outcomes()
    assert (outcomes["dead_lettered"], sum(outcomes.values()), len(stage.tables.samples())) == (0, 2, 2)
    assert (stage.closed, stage.tables.rows(NOTED), stage.tables.rows(GAPS)) == ([True], [], [])


def test_a_replay_that_is_cancelled_before_its_swap_changes_nothing(stage: Stage) -> None:
    stage.give_up("aggregate", KILLER, [0, 1])
    watched = [f"SELECT * FROM {table}" for table in ("dead_lettered_record", "outcome", "counted_back")]
    before = [stage.tables.rows(query) for query in watched]
    made = stage.plan([0, 1])
    assert made.tables.end(made.number, ["gathering"], "cancelled", "a test")
    assert [stage.tables.rows(query) for query in watched] == before
    assert stage.closed == [False]
    stage.replay([0, 1])
    assert stage.tables.outcomes() == {"counted": 2, "dead_lettered": 0}


def test_a_late_event_and_a_copy_leave_the_dead_lettered_as_what_they_are(stage: Stage) -> None:
    moment = stage.moment
    first = Sent(0, moment, moment, event_id=f"{7:032x}")
    copy = Sent(1, moment, moment, event_id=f"{7:032x}")
    late = Sent(2, moment - 2 * HOUR, moment, event_id=f"{8:032x}")
    stage.writer.add(read([first]), set())
    stage.writer.bury([put_down(one.record(), KILLER, now()) for one in (copy, late)])
    start = hour_of(moment) - 3 * HOUR
    made = Replayer(stage.dsn, make_plan("demo", start, start + 5 * HOUR))
    made.resend([first, copy, late])
    made.swap()
    made.close()
    assert stage.tables.outcomes() == {"counted": 1, "duplicate": 1, "late": 1, "dead_lettered": 0}


def test_a_later_copy_that_aggregate_has_not_come_to_leaves_the_first_one_counted(stage: Stage) -> None:
    # aggregate passed the first copy over, and the other one is still to come.
    first = Sent(1, stage.moment, stage.moment, event_id=f"{7:032x}")
    stage.others = {1: first, 3: replace(first, offset=3)}
    stage.writer.add(read([stage.sent(0), stage.sent(2)]), set())
    stage.replay([0, 1, 2, 3])
    assert stage.tables.outcomes() == {"counted": 3}
    stage.writer.add(read([stage.sent(3)]), set())
    assert stage.tables.outcomes() == {"counted": 3, "duplicate": 1}


@pytest.mark.parametrize("fault", [KILLER, EXPIRED])
def test_a_later_copy_of_another_hour_that_aggregate_gave_up_leaves_the_first_one_counted(
    stage: Stage, fault: Fault
) -> None:
    hour = hour_of(stage.moment)
    first = Sent(1, stage.moment, stage.moment, event_id=f"{7:032x}")
    stage.others = {1: first, 2: replace(first, offset=2, event_time=hour - MINUTE)}
    stage.give_up("aggregate", fault, [1, 2])
    stage.replay([1, 2], since=hour, reprocess=True)
    assert stage.tables.outcomes() == {"counted": 1, "dead_lettered": 1}


def test_what_recount_cannot_read_either_stays_dead_lettered_once(stage: Stage) -> None:
    stage.give_up("aggregate", POISON, [0, 1])
    made = stage.plan([0])
    record = replayed(stage.sent(1), made.number, 99)
    with closing(Database(lambda: connect_as(stage.dsn, "recount"), 60)) as store:
        work = Recounting(samples.contracts(), LIMITS, store, Numbering({}), "recount")
        work.cover([(record, POISON)], now())
    assert read_replayed(record.headers[HEADER]).replay_number == made.number
    made.swap()
    assert stage.tables.outcomes() == {"counted": 1, "dead_lettered": 1}
    assert stage.tables.rows(NOTED) == [(1,)]
    (group,) = stage.groups()
    assert (group["state"], group["letters"], group["accounted"]) == ("open", 2, 1)


def test_letters_of_a_release_before_stay_dead_lettered_until_a_redrive_closes_them(stage: Stage) -> None:
    letters = stage.give_up("aggregate", POISON, [0])
    # That release noted nothing.
    stage.owner.execute("DELETE FROM dead_lettered_record")
    stage.replay([0])
    assert len(stage.tables.samples()) == 1
    assert (stage.tables.outcomes(), stage.closed) == ({"dead_lettered": 1}, [False])
    stage.begin(letters, "aggregate")
    stage.run()
    # The sum stays what was accepted, and the event counts once.
    assert (stage.tables.outcomes(), stage.closed) == ({"dead_lettered": 0, "duplicate": 1}, [True])
    assert len(stage.tables.samples()) == 1


@pytest.mark.parametrize("state", ["sending", "accepted", "accounted"])
def test_what_aggregate_of_the_release_before_counted_of_a_redrive_is_not_moved_twice(stage: Stage, state: str) -> None:
    letters = stage.give_up("aggregate", POISON, [0])
    noted = stage.tables.rows("SELECT * FROM dead_lettered_record")[0]
    stage.begin(letters, "aggregate")
    stage.run()
    # That release left the note, and the run may have died before it wrote that the record was taken.
    stage.owner.execute("UPDATE redrive_letter SET state = %s", [state])
    stage.owner.execute("INSERT INTO dead_lettered_record VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", noted)
    stage.replay([0])
    assert stage.tables.outcomes() == {"counted": 1, "dead_lettered": 0}


def test_notes_of_a_recreated_topic_are_put_aside_with_its_coverage(stage: Stage) -> None:
    stage.give_up("aggregate", POISON, [0, 1])
    stage.replay([0])
    stage.owner.execute("SELECT put_coverage_aside('aggregate', 'raw-events', 0, now() - interval '1 second')")
    for table in ("dead_lettered_record", "counted_back"):
        ((topic,),) = stage.tables.rows(f"SELECT topic FROM {table}")
        assert topic.startswith("raw-events@")
    # The letters are of records that the new topic does not have.
    assert stage.closed == [False]
    stage.replay([1])
    assert stage.tables.outcomes() == {"counted": 1, "dead_lettered": 1}


@pytest.mark.parametrize("fault", [KILLER, EXPIRED])
def test_records_of_the_topic_before_are_not_taken_for_those_at_their_places(stage: Stage, fault: Fault) -> None:
    before = replace(stage.sent(0), event_time=stage.moment - 2 * MINUTE, received_at=stage.moment - 2 * MINUTE)
    stage.writer.add(read([before]), set())
    begun_at = stage.moment - MINUTE
    stage.owner.execute("SELECT put_coverage_aside('aggregate', 'raw-events', 0, %s)", [begun_at])
    stage.give_up("aggregate", fault, [0])
    assert stage.tables.outcomes() == {"counted": 1, "dead_lettered": 1}
    stage.replay([0], more=[before])
    assert (stage.tables.outcomes(), stage.closed) == ({"counted": 2, "dead_lettered": 0}, [True])
    assert len(stage.tables.samples()) == 2


def test_a_letter_of_the_topic_before_hides_none_at_its_place(stage: Stage) -> None:
    stage.begin(stage.give_up("aggregate", POISON, [0]), "aggregate")
    stage.run()
    stage.owner.execute("UPDATE redrive_letter SET changed_at = changed_at - interval '1 day'")
    begun_at = stage.moment + MINUTE
    stage.owner.execute("SELECT put_coverage_aside('aggregate', 'raw-events', 0, %s)", [begun_at])
    stage.others = {0: Sent(0, begun_at, begun_at)}
    stage.give_up("aggregate", POISON, [0])
    stage.replay([0])
    assert stage.tables.outcomes() == {"counted": 2, "dead_lettered": 0}


def test_a_trace_names_the_replay_that_counted_a_record_and_none_for_others(stage: Stage) -> None:
    stage.give_up("aggregate", KILLER, [0, 1])
    number = stage.replay([0])
    origins = [Origin("raw-events", 0, offset) for offset in (0, 1)]
    with closing(Database(lambda: connect_as(stage.dsn, "trace"), 5)) as store:
        reader = Reader(store, 60)
        found = TraceReader(reader, RollupReader(reader)).read("an event", [("demo", "press-0001")], origins)
    ((plan_hash,),) = stage.tables.rows("SELECT plan_hash FROM replay WHERE replay_number = %s", number)
    assert found.counted_by == {origins[0]: f"replay-{plan_hash[:16]}"}
    assert [found.progress[one] for one in origins] == ["done", "done"]
