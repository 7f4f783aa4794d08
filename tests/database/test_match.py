"""Ids that recur with other bytes, on a real database: the first event counts, the later one is a conflict."""

import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from sluice.core.errors import Ahead, Poison
from sluice.core.failures.letters import Letter
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.samples.events import put_down
from sluice.edge.bucket import Bucket
from sluice.edge.database import Connection
from sluice.edge.matching import finding, match_run
from sluice.edge.matching.done import Done
from sluice.edge.matching.id_store import IdStore
from sluice.edge.matching.match_run import Matching, MatchRun, Time
from sluice.edge.matching.raw_ids import make_record
from sluice.edge.matching.tables import IDS
from tests.database.aggregating import LIMITS, Processes, Sent, Tables, now, read
from tests.database.replaying import Replayer, connect_as, counts_at, make_plan
from tests.database.stored import S3, Died, Dying, as_reconcile, count, shuffled
from tests.support import samples

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ID, OTHER_ID = "0" * 31 + "7", "0" * 31 + "8"


def at_once() -> bool:
    """Time is always left."""
    return True


def never() -> bool:
    """No time is left."""
    return False


ENOUGH = Time(at_once, at_once, at_once)


class Kept:
    """Brokers that keep dead letters; while they are down, they keep none."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.down = False

    def store(self, messages: Sequence[Message]) -> list[str | None]:
        if self.down:
            return ["down"] * len(messages)
        self.messages += messages
        return [None] * len(messages)

    @property
    def letters(self) -> list[Letter]:
        return [msgspec.json.decode(message.value, type=Letter) for message in self.messages]


class Place:
    """A database, its buckets and its brokers."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.clock = now
        self.s3 = S3()
        self.brokers = Kept()
        self.tables = Tables(dsn)
        self.processes = Processes(dsn)

    def close(self) -> None:
        self.processes.end()
        self.tables.connection.close()

    def aggregate(self, *sent: Sent) -> None:
        for one in sent:
            self.processes.start().add(read([one]), set())

    def archive(self, *sent: Sent) -> str:
        """Store a file of some events, and have reconcile count it."""
        name = self.s3.put_rows(sent)
        with closing(as_reconcile(self.dsn)) as connection:
            assert not count(connection, self.s3).unreadable
        return name

    def match(self, connection: Any = None, *, time: Time = ENOUGH) -> Done:
        """Run match once, as the role that it has."""
        matching = Matching(
            raw=Bucket(self.s3, "raw"),
            store=IdStore(Bucket(self.s3, "control")),
            broker=self.brokers,  # type: ignore[arg-type]  # played
            topic="dead-letter",
            contracts=samples.contracts(),
            limits=Limits(),
            clock=self.clock,
        )
        with closing(self.connect()) as mine:
            run = MatchRun(matching, mine if connection is None else connection, time)
            run.run()
            return run.done

    def connect(self) -> Connection:
        return connect_as(self.dsn, "match")

    @property
    def counted(self) -> list[datetime]:
        return [time for _, _, time, _ in self.tables.samples()]

    @property
    def outcomes(self) -> dict[str, int]:
        """What aggregate's account says of the fleet."""
        rows = self.tables.rows(
            "SELECT outcome, sum(events)::int FROM outcome WHERE consumer = 'aggregate' AND fleet_id = 'demo'"
            " GROUP BY 1"
        )
        return {outcome: events for outcome, events in rows if events}

    @property
    def states(self) -> dict[str, int]:
        return dict(self.tables.rows("SELECT state, count(*)::int FROM recurring_copy GROUP BY 1"))


@pytest.fixture
def place(database: str) -> Iterator[Place]:
    made = Place(database)
    yield made
    made.close()


@pytest.fixture
def noon() -> datetime:
    return now().replace(minute=30, second=0, microsecond=0) - 6 * HOUR


def pair(noon: datetime, apart: timedelta) -> tuple[Sent, Sent]:
    """An event, and a later one with its id and another time."""
    return (
        Sent(0, noon, noon, event_id=ID, metrics={"cpu_temp": 40.0, "vibration_rms": 2.0}),
        Sent(
            1,
            noon + apart,
            noon + apart + timedelta(seconds=1),
            event_id=ID,
            metrics={"cpu_temp": 60.0, "vibration_rms": 2.0},
        ),
    )


def test_an_id_that_recurs_after_hours_under_another_time_counts_once_in_the_end(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    assert place.outcomes == {"counted": 2}
    place.tables.rows("UPDATE shard SET closed_until = now() RETURNING 1")
    place.tables.rows("DELETE FROM dirty RETURNING 1")
    place.archive(first)
    assert place.match() == Done(ids=1)
    place.archive(later)
    assert place.match() == Done(ids=1, conflicts=1, removed=1)
    assert place.counted == [first.event_time]
    assert place.outcomes == {"counted": 1, "duplicate": 1}
    minute = later.event_time.replace(second=0)
    assert {(when, who) for _, when, who in place.tables.markers()} == {(minute, "press-0001"), (minute, "fleet")}
    (letter,) = place.brokers.letters
    assert (letter.reason, letter.consumer) == ("conflict", "match")
    assert letter.event == later.record().value.decode()
    assert letter.first_event == first.record().value.decode()
    assert (letter.kafka_offset, letter.first_kafka_offset) == (1, 0)
    assert place.match() == Done()
    assert len(place.brokers.letters) == 1
    assert place.states == {"first": 1, "settled": 1}


def test_both_may_be_in_one_file_and_the_order_of_files_does_not_matter(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    one, two = replace(first, event_id=OTHER_ID, offset=2), replace(later, event_id=OTHER_ID, offset=3)
    place.aggregate(first, later, one, two)
    place.archive(later, first)
    assert place.match() == Done(ids=2, conflicts=1, removed=1)
    place.archive(two)
    assert place.match() == Done(ids=1)
    place.archive(one)
    assert place.match() == Done(ids=1, conflicts=1, removed=1)
    assert place.counted == [first.event_time] * 2
    assert [letter.kafka_offset for letter in place.brokers.letters] == [1, 3]


def test_a_conflict_that_aggregate_recognized_changes_no_number(place: Place, noon: datetime) -> None:
    first, later = pair(noon, HOUR)
    place.aggregate(first, later)
    assert place.outcomes == {"counted": 1, "duplicate": 1}
    place.archive(first, later)
    assert place.match() == Done(ids=2, conflicts=1)
    assert place.outcomes == {"counted": 1, "duplicate": 1}
    assert place.counted == [first.event_time]
    assert place.tables.rows("SELECT * FROM settled_event") == []


def test_the_same_bytes_again_are_no_conflict(place: Place, noon: datetime) -> None:
    first, _ = pair(noon, 3 * HOUR)
    again = replace(first, offset=1, received_at=noon + MINUTE)
    place.aggregate(first, again)
    place.archive(first, again)
    place.archive(first)
    assert place.match() == Done(ids=3)
    assert place.states == {}
    assert place.brokers.letters == []


def test_other_devices_and_fleets_may_use_the_same_id(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    others = replace(later, device_id="press-2"), replace(later, offset=2, fleet_id="demo2")
    place.aggregate(first, *others)
    place.archive(first, *others)
    assert place.match() == Done(ids=3)
    assert len(place.counted) == 2


def test_an_event_whose_first_copy_aggregate_gave_up_keeps_its_sample(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    given_up = put_down(first.record(), Poison("a test"), now())
    place.processes.start().bury([given_up])
    place.aggregate(later)
    place.archive(first, later)
    assert place.match() == Done(ids=2, conflicts=1)
    assert place.counted == [later.event_time]
    assert place.outcomes == {"dead_lettered": 1, "counted": 1}


@pytest.mark.parametrize("seed", range(2))
def test_whatever_recurs_and_whenever_files_and_runs_come_each_id_counts_once_and_by_its_first(
    place: Place, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_run, "AT_ONCE", 7)
    draw = random.Random(seed)
    sent = recurring(draw)
    for at in range(0, len(sent), 5):
        place.aggregate(*sent[at : at + 5])
    assert len(place.counted) > len(countable(sent))
    files = shuffled(draw, sent, 12)
    for file in files:
        place.archive(*file)
        if draw.random() < 0.5:
            place.match()
    place.match()
    samples_held = {(device, key): time for device, key, time, _ in place.tables.samples()}
    assert samples_held == countable(sent)
    assert len(place.counted) == len(samples_held)
    late = sum(is_late(one) for one in sent)
    expected = {"counted": len(samples_held), "late": late, "duplicate": len(sent) - late - len(samples_held)}
    assert place.outcomes == {outcome: events for outcome, events in expected.items() if events}
    firsts = {(one.device_id, one.key): one for one in reversed(sent)}
    of_bytes = {one.offset: one.record().value for one in sent}
    conflicts = [one.offset for one in sent if of_bytes[one.offset] != of_bytes[firsts[one.device_id, one.key].offset]]
    # A record that is in several files has one letter, which may be written again.
    assert sorted(letter.kafka_offset or 0 for letter in set(place.brokers.letters)) == conflicts
    assert place.match() == Done()


def recurring(draw: random.Random) -> list[Sent]:
    """Events of some hours with few ids, which are used again at once or hours later, with the same bytes or others."""
    moment = now().replace(minute=0, second=0, microsecond=0) - 12 * HOUR
    sent: list[Sent] = []
    for offset in range(60):
        moment += timedelta(minutes=draw.uniform(0, 20))
        event_time = moment - timedelta(minutes=draw.choice((0, 1, 30, 70, -20)))
        one = Sent(
            offset,
            event_time,
            moment,
            device_id=f"press-{draw.randrange(2)}",
            event_id=f"{draw.randrange(8):032x}",
            metrics={"cpu_temp": float(offset), "vibration_rms": 1.0},
        )
        again = draw.random() < 0.2 and sent
        sent.append(replace(draw.choice(sent), offset=offset, received_at=moment) if again else one)
    return sent


def is_late(one: Sent) -> bool:
    return one.received_at - one.event_time > LIMITS.late


def countable(sent: Sequence[Sent]) -> dict[tuple[str, uuid.UUID], datetime]:
    """When each id counts: its first event decides, even if it is late and none does."""
    firsts = {(one.device_id, one.key): one for one in reversed(sent)}
    return {who: counts_at(one) for who, one in firsts.items() if not is_late(one)}


def test_a_third_copy_is_a_conflict_with_the_first_one(place: Place, noon: datetime) -> None:
    first, second = pair(noon, 2.5 * HOUR)
    third = replace(second, offset=2, event_time=noon + 5 * HOUR, received_at=noon + 5 * HOUR)
    place.aggregate(first, second, third)
    place.archive(first, second)
    place.match()
    place.archive(third)
    assert place.match() == Done(ids=1, conflicts=1, removed=1)
    assert place.counted == [first.event_time]
    assert [letter.first_event for letter in place.brokers.letters] == [first.record().value.decode()] * 2
    assert place.outcomes == {"counted": 1, "duplicate": 2}


def test_nothing_is_settled_before_aggregate_has_come_to_both(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.archive(first, later)
    place.aggregate(first)
    assert place.match() == Done(ids=2)
    assert place.states == {"open": 2}
    place.aggregate(later)
    assert place.match() == Done(conflicts=1, removed=1)
    assert place.counted == [first.event_time]


def test_a_conflict_waits_for_earlier_events_to_appear_in_raw_but_not_for_ever(place: Place, noon: datetime) -> None:
    first, later = (replace(one, offset=one.offset + 1) for one in pair(noon, 3 * HOUR))
    lost = Sent(0, noon, noon, event_id=OTHER_ID)
    place.aggregate(lost, first, later)
    place.archive(first, later)
    assert place.match() == Done(ids=2)
    assert place.match() == Done()
    place.clock = lambda: now() + 4 * HOUR
    assert place.match() == Done(conflicts=1, removed=1)


def test_a_conflict_waits_until_its_letter_is_stored(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    place.brokers.down = True
    assert place.match() == Done(ids=2)
    assert len(place.counted) == 2
    place.brokers.down = False
    assert place.match() == Done(conflicts=1, removed=1)


def test_a_run_that_dies_anywhere_is_completed_by_the_next_one(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first)
    place.archive(later)
    statements = 0
    while True:
        with closing(place.connect()) as connection:
            try:
                place.match(Dying(connection, statements))
            except Died:
                statements += 1
                # Either nothing has changed, or everything has.
                removed = len(place.counted) == 1
                assert place.outcomes == ({"counted": 1, "duplicate": 1} if removed else {"counted": 2})
                assert bool(place.tables.rows("SELECT 1 FROM settled_event")) == removed
                continue
        break
    assert statements > 10
    assert place.counted == [first.event_time]
    assert place.outcomes == {"counted": 1, "duplicate": 1}
    # A letter may be written again: it is the same one.
    assert len({message.value for message in place.brokers.messages}) == 1
    assert place.states == {"first": 1, "settled": 1}


def test_a_replay_does_not_bring_back_what_was_removed(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 4 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    assert place.match().removed == 1
    for sent in (first, later):
        hour = sent.event_time.replace(minute=0)
        again = Replayer(place.dsn, make_plan("demo", hour, hour + HOUR, reprocess=True))
        again.resend([first, later])
        again.swap()
        again.close()
    assert place.counted == [first.event_time]
    assert place.outcomes == {"counted": 1, "duplicate": 1}


def test_no_sample_is_removed_while_a_replay_swaps(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 4 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    again = Replayer(place.dsn, make_plan("demo", noon, noon + HOUR))
    with closing(connect_as(place.dsn, "replay")) as swap:
        with swap.transaction():
            swap.execute("SELECT true FROM replay WHERE replay_number = %s FOR SHARE", [again.number])
            assert place.match() == Done(ids=2, conflicts=1)
            assert len(place.counted) == 2
            assert place.states == {"open": 2}
        assert place.match().removed == 1
    again.close()


def test_another_copy_that_comes_after_the_repair_is_a_duplicate_at_once(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    place.match()
    third = replace(later, offset=2, event_time=noon + 5 * HOUR, received_at=noon + 5 * HOUR)
    place.aggregate(third)
    assert place.counted == [first.event_time]
    assert place.outcomes == {"counted": 1, "duplicate": 2}


def test_what_is_below_the_floor_stays_and_is_told(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    place.tables.rows("UPDATE horizon SET floor = %s WHERE store = 'sample' RETURNING 1", noon + HOUR)
    assert place.match() == Done(ids=2, conflicts=1, unsettled=1)
    assert place.outcomes == {"counted": 2}
    assert place.states == {"first": 1, "settled": 1}


def test_a_fleet_with_too_many_conflicts_is_told_and_takes_nobody_elses_place(
    place: Place, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MOST_OF_A_FLEET", 4)
    flood = [
        Sent(2 * number + again, noon + again * MINUTE, noon + again * MINUTE, event_id=f"{number:032x}")
        for number in range(10)
        for again in range(2)
    ]
    quiet = [replace(one, fleet_id="demo2", partition=1) for one in pair(noon, HOUR)]
    place.aggregate(*flood, *quiet)
    place.archive(*flood, *quiet)
    done = place.match()
    assert (done.unsettled, done.ids) == (16, 22)
    assert done.conflicts == len(place.brokers.letters) <= 3
    assert [letter.fleet_id for letter in place.brokers.letters].count("demo2") == 1


def test_what_cannot_be_settled_for_a_day_is_given_up_and_told(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.archive(first, later)
    place.match()
    place.tables.rows("UPDATE recurring_copy SET found_at = now() - interval '27 hours' RETURNING 1")
    assert place.match() == Done(unsettled=2)
    assert place.states == {}


def test_a_damaged_file_is_told_and_holds_up_no_other(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    damaged = place.archive(replace(first, offset=7, event_id=OTHER_ID))
    place.archive(first, later)
    place.s3.objects[damaged] = b"PAR1 no more"
    assert place.match() == Done(ids=2, conflicts=1, removed=1, unsettled=1)
    assert place.match() == Done()


def test_a_file_that_was_written_again_is_read_again(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    name = place.archive(first)
    assert place.match() == Done(ids=1)
    place.s3.objects[name] = place.s3.objects.pop(place.s3.put_rows([first, later]))
    with closing(as_reconcile(place.dsn)) as connection:
        count(connection, place.s3)
    assert place.match() == Done(ids=2, conflicts=1, removed=1)


def test_a_run_without_time_does_nothing_and_the_next_one_continues(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    assert place.match(time=Time(never, never, never)) == Done()
    assert place.match(time=Time(never, at_once, never)) == Done(ids=2)
    # What was found is settled, however long the search takes.
    assert place.match(time=Time(at_once, never, never)) == Done(conflicts=1, removed=1)


def test_ids_are_settled_in_turn_when_time_never_lasts_for_all(place: Place, noon: datetime) -> None:
    sent: list[Sent] = []
    for number in range(4):
        for one in pair(noon, 3 * HOUR):
            sent.append(replace(one, offset=len(sent), event_id=f"{number:032x}"))
            place.archive(sent[-1])
    place.aggregate(*sent)
    place.match(time=Time(never, at_once, never))
    for settled in range(1, 5):
        # Time to look, and to read the two files of one id.
        left = iter([True] * 3)
        done = place.match(time=Time(lambda left=left: next(left, False), never, never))  # type: ignore[misc]
        assert (done.removed, place.states.get("settled")) == (1, settled)
    assert place.counted == [noon] * 4


def test_an_id_is_settled_while_newer_files_wait_to_be_read(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    assert place.match(time=Time(never, at_once, never)) == Done(ids=2)
    place.archive(Sent(2, noon, later.received_at + 6 * MINUTE, event_id=OTHER_ID))
    assert place.match(time=Time(at_once, never, never)) == Done(conflicts=1, removed=1)


def test_an_id_waits_for_files_that_may_hold_an_earlier_event(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    assert place.match(time=Time(never, at_once, never)) == Done(ids=2)
    place.archive(Sent(2, noon, later.received_at + 4 * MINUTE, event_id=OTHER_ID))
    assert place.match(time=Time(at_once, never, never)) == Done()


def test_a_file_that_is_never_read_is_told_once(place: Place, noon: datetime) -> None:
    place.archive(*pair(noon, 3 * HOUR))
    place.tables.rows("UPDATE counted_object SET counted_at = now() - interval '27 hours' RETURNING 1")
    assert place.match() == Done(unsettled=2)
    assert place.match() == Done()


def test_what_may_still_be_recovered_is_not_judged(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.processes.start().bury([put_down(first.record(), Ahead("telemetry 4"), now())])
    place.aggregate(later)
    place.archive(first, later)
    assert place.match() == Done(ids=2)
    place.aggregate(first)
    assert place.match() == Done(conflicts=1, removed=1)
    assert place.counted == [first.event_time]


def test_an_odd_row_is_dropped_and_holds_up_no_other(place: Place, noon: datetime, monkeypatch: Any) -> None:
    first, later = pair(noon, 3 * HOUR)
    odd = [replace(one, event_id=OTHER_ID, offset=one.offset + 2) for one in (first, later)]
    place.aggregate(first, later, *odd)
    place.archive(first, later, *odd)
    assert place.match(time=Time(never, at_once, never)) == Done(ids=4)

    def without_reception(row: dict[str, Any]) -> Any:
        return make_record(row | ({"received_at": None} if row["kafka_offset"] == 3 else {}))

    monkeypatch.setattr("sluice.edge.matching.copy_reading.make_record", without_reception)
    assert place.match() == Done(conflicts=1, removed=1, unsettled=1)


def test_ids_that_are_lost_are_read_again(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 3 * HOUR)
    place.aggregate(first, later)
    place.archive(first)
    assert place.match() == Done(ids=1)
    (name,) = (name for name in place.s3.objects if name.startswith(IDS))
    place.s3.objects[name] = b"PAR1 no more"
    place.archive(later)
    assert place.match() == Done(ids=1)
    assert place.match() == Done(ids=1, conflicts=1, removed=1)


def test_a_replay_lets_no_later_event_in_although_its_own_clock_had_settled_it(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 4 * HOUR)
    # Its clock ran ahead: it counts when it was received, and aggregate has noted that.
    later = replace(later, event_time=later.received_at + HOUR)
    place.aggregate(first, later)
    assert len(place.counted) == 2
    place.archive(first, later)
    assert place.match().removed == 1
    replay(place, later.received_at.replace(minute=0, second=0), first, later)
    assert place.counted == [first.event_time]


def test_a_replay_lets_no_later_event_in_when_the_first_has_left_the_floor(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 4 * HOUR)
    place.aggregate(first, later)
    place.archive(first, later)
    assert place.match().removed == 1
    # What maintain does once the first event's hour is below the floor.
    place.tables.rows("DELETE FROM settled_event WHERE received_at < %s RETURNING 1", noon + HOUR)
    replay(place, later.event_time.replace(minute=0), later)
    assert place.counted == [first.event_time]


def test_a_replay_of_late_events_lets_no_late_event_in_whose_id_counts(place: Place, noon: datetime) -> None:
    first, later = pair(noon, 4 * HOUR)
    later = replace(later, event_time=noon - 3 * HOUR)
    place.aggregate(first, later)
    assert place.outcomes == {"counted": 1, "late": 1}
    place.archive(first, later)
    assert place.match() == Done(ids=2, conflicts=1)
    replay(place, later.event_time.replace(minute=0), later, include_late=True)
    assert place.counted == [first.event_time]


def replay(place: Place, hour: datetime, *sent: Sent, include_late: bool = False) -> None:
    """Replay an hour from what is stored."""
    plan = make_plan("demo", hour, hour + HOUR, reprocess=True, include_late=include_late)
    again = Replayer(place.dsn, plan)
    again.resend(sent)
    again.swap()
    again.close()
