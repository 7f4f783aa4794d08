"""Letters of a consumer, given to it alone on a real database: each record counts or is stored once."""

import json
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from sluice.core.errors import Ahead, Fault, Refusal
from sluice.core.records import REDRIVE, RERUN
from sluice.core.redrive.groups import MOST_ATTEMPTS, key_of
from tests.database.aggregating import Processes, read
from tests.database.redriving import EXPIRED, GAPS, POISON, STANDINGS, World
from tests.database.replaying import connect_as
from tests.database.stored import Died, letter_of


@pytest.fixture
def world(database: str) -> Iterator[World]:
    processes = Processes(database)
    found = World(database, processes)
    yield found
    found.close()
    processes.end()


@pytest.mark.parametrize("fault", [EXPIRED, POISON, Ahead("telemetry 9")])
def test_what_aggregate_gave_up_is_given_to_it_alone_and_counts_once(world: World, fault: Fault) -> None:
    world.writer.add(read([world.sent(0)]), set())
    letters = world.give_up("aggregate", fault, [1, 2, 3])
    assert world.tables.outcomes() == {"counted": 1, "dead_lettered": 3}
    number = world.begin(letters, "aggregate")
    assert world.run() == 3
    assert world.state(number) == ("done", None)
    assert world.tables.outcomes() == {"counted": 4, "dead_lettered": 0}
    assert (world.tables.rows(GAPS), world.tables.covered()) == ([], {0: [(0, 4)]})
    assert world.takers["aggregate"].offsets == [[1, 2, 3]]
    assert world.takers["archive"].events == []
    (event,) = world.takers["aggregate"].events
    assert (event[RERUN], event[REDRIVE]) == (1, True)
    assert [group["state"] for group in world.groups()] == ["closed"]
    # Again: nothing is due, and nothing is counted twice.
    assert (world.begin(letters, "aggregate"), world.run()) == (number + 1, 0)
    assert world.tables.outcomes() == {"counted": 4, "dead_lettered": 0}


def test_a_record_keeps_its_bytes_and_its_header_but_for_a_flag(world: World) -> None:
    letters = world.give_up("archive", POISON, [0])
    world.begin(letters, "archive")
    world.run()
    (given,) = world.delivered
    was = world.sent(0).record()
    assert (given.origin, given.value) == (was.origin, was.value)
    before, after = (json.loads(one.headers["sluice"]) for one in (was, given))
    assert after[5] == [*before[5], "redriven"]
    assert after[:5] + after[6:] == before[:5] + before[6:]


def test_what_archive_gave_up_is_accounted_for_when_a_file_has_its_row(world: World) -> None:
    letters = world.give_up("archive", EXPIRED, [0, 1])
    assert world.tables.rows(GAPS) == [("archive", "[0,2)")]
    number = world.begin(letters, "archive")
    assert world.run() == 2
    assert world.state(number)[0] == "draining"
    assert [group["in_flight"] for group in world.groups()] == [2]
    world.store_rows()
    world.run()
    assert world.state(number)[0] == "done"
    outcomes = "SELECT outcome, sum(events)::int FROM outcome WHERE consumer = 'archive' GROUP BY 1 ORDER BY 1"
    assert world.tables.rows(outcomes) == [("archived", 2), ("dead_lettered", 0)]
    assert world.tables.rows(GAPS) == []
    # A replay finds the rows by the hour of their events.
    assert world.tables.rows("SELECT sum(redriven)::int FROM late_object") == [(2,)]
    assert [group["state"] for group in world.groups()] == ["closed"]


def test_a_row_that_was_stored_before_its_letter_stays_the_one_that_counts(world: World) -> None:
    world.s3.put_rows([world.sent(0)])
    world.count()
    letters = world.give_up("archive", EXPIRED, [0])
    world.begin(letters, "archive")
    world.run()
    world.store_rows()
    world.run()
    outcomes = "SELECT outcome, sum(events)::int FROM outcome WHERE consumer = 'archive' GROUP BY 1"
    assert world.tables.rows(outcomes) == [("archived", 1)]
    assert [group["state"] for group in world.groups()] == ["closed"]


def test_what_fails_again_has_its_attempt_and_leaves_everything_as_it_was(world: World) -> None:
    letters = world.give_up("aggregate", POISON, [0, 1])
    world.takers["aggregate"].refuses = {1}
    for attempt in range(1, MOST_ATTEMPTS + 1):
        number = world.begin(letters, "aggregate")
        world.run()
        assert world.state(number) == ("done", None)
        assert world.tables.rows(STANDINGS) == [("accounted", 1, None, 1), ("rejected", attempt, "poison_record", 1)]
        # What was in no gap is in none again.
        assert world.tables.rows(GAPS) == []
    assert world.tables.outcomes() == {"counted": 1, "dead_lettered": 1}
    (group,) = world.groups()
    assert (group["state"], group["exhausted"], group["accounted"]) == ("closed", 1, 1)
    number = world.begin(letters, "aggregate")
    assert world.run() == 0


def test_what_can_be_processed_later_stays_in_its_gap_while_it_fails(world: World) -> None:
    letters = world.give_up("aggregate", Ahead("telemetry 9"), [0])
    world.takers["aggregate"].refuses = {0}
    world.begin(letters, "aggregate")
    world.run()
    assert world.tables.rows(GAPS) == [("aggregate", "[0,1)")]
    world.takers["aggregate"].refuses = set()
    world.begin(letters, "aggregate")
    world.run()
    assert world.tables.outcomes() == {"counted": 1, "dead_lettered": 0}


@pytest.mark.parametrize("fault", [EXPIRED, POISON])
def test_wherever_a_run_dies_the_next_one_finishes_and_each_record_counts_once(world: World, fault: Fault) -> None:
    letters = world.give_up("aggregate", fault, [0, 1, 2])
    before = world.tables.rows("SELECT * FROM gap")
    world.takers["aggregate"].refuses = {2}
    statements = 0
    while True:
        number = world.begin(letters, "aggregate")
        died = world.run_until_death(statements)
        world.run()
        assert world.state(number) == ("done", None), statements
        assert world.tables.outcomes() == {"counted": 2, "dead_lettered": 1}, statements
        assert [row[:1] + row[3:] for row in world.tables.rows(STANDINGS)] == [("accounted", 2), ("rejected", 1)]
        assert len(world.tables.rows("SELECT 1 FROM gap")) == (1 if before else 0), statements
        if not died:
            break
        statements += 1
        world.owner.execute("DELETE FROM redrive; DELETE FROM redrive_letter; DELETE FROM gap")
        world.owner.execute("DELETE FROM sample; DELETE FROM outcome")
        world.owner.execute(
            "INSERT INTO outcome (consumer, fleet_id, received_hour, contract, schema_version, outcome, events)"
            " VALUES ('aggregate', 'demo', date_trunc('hour', %s, 'UTC'), 'telemetry', 3, 'dead_lettered', 3)",
            [world.moment],
        )
        for row in before:
            world.owner.execute("INSERT INTO gap VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
    assert statements > 8


def test_an_offset_that_was_recovered_meanwhile_is_not_given_again(world: World) -> None:
    letters = world.give_up("aggregate", EXPIRED, [0, 1])
    world.writer.add(read([world.sent(0)]), set())
    number = world.begin(letters, "aggregate")
    assert world.run() == 1
    assert world.takers["aggregate"].offsets == [[1]]
    assert world.state(number) == ("done", None)
    assert world.tables.rows(STANDINGS) == [("accounted", 0, None, 1), ("accounted", 1, None, 1)]


def test_a_consumer_that_dies_after_its_work_is_asked_again_and_counts_nothing_twice(world: World) -> None:
    letters = world.give_up("aggregate", POISON, [0])
    number = world.begin(letters, "aggregate")
    world.takers["aggregate"].dies = True
    with pytest.raises(Died):
        world.run()
    world.takers["aggregate"].dies = False
    world.run()
    assert world.state(number) == ("done", None)
    assert world.tables.outcomes() == {"counted": 1, "dead_lettered": 0}
    assert world.tables.rows(STANDINGS) == [("accounted", 1, None, 1)]


@pytest.mark.parametrize("trouble", ["did not take offset 1", "earlier release"])
def test_a_redrive_waits_for_a_consumer_that_cannot_take_its_records(world: World, trouble: str) -> None:
    letters = world.give_up("aggregate", EXPIRED, [0, 1])
    number = world.begin(letters, "aggregate")
    taker = world.takers["aggregate"]
    taker.fails_at, taker.is_old = (1, False) if "offset" in trouble else (None, True)
    world.run()
    state, told = world.state(number)
    assert (state, trouble in (told or "")) == ("sending", True)
    taker.fails_at, taker.is_old = None, False
    world.run()
    assert world.state(number) == ("done", None)
    assert world.tables.outcomes() == {"counted": 2, "dead_lettered": 0}


def test_letters_wait_until_the_ledger_has_counted_them(world: World) -> None:
    letters = world.give_up("archive", POISON, [0], counted=False)
    number = world.begin(letters, "archive")
    assert world.run() == 0
    assert "has not counted 1 letters of archive" in (world.state(number)[1] or "")
    world.count()
    assert world.run() == 1


def test_a_record_of_a_recreated_topic_is_never_given(world: World) -> None:
    letters = world.give_up("archive", POISON, [0])
    world.owner.execute("UPDATE coverage SET begun_at = now() + interval '1 hour'")
    number = world.begin(letters, "archive")
    assert world.run() == 0
    assert (world.state(number)[0], world.delivered) == ("done", [])
    assert world.tables.rows(STANDINGS) == [("incomplete", 0, "topic_recreated", 1)]


def test_a_record_that_would_look_like_one_of_a_recreated_topic_is_rejected(world: World) -> None:
    letters = world.give_up("archive", POISON, [0])
    world.owner.execute("UPDATE coverage SET received_until = received_until - interval '1 minute'")
    world.begin(letters, "archive")
    assert world.run() == 0
    assert world.tables.rows(STANDINGS) == [("rejected", 1, "reception_ahead", 1)]


def test_two_records_of_the_same_bytes_and_two_consumers_of_one_record_are_letters_of_their_own(world: World) -> None:
    one = world.sent(0)
    copy = msgspec.structs.replace(letter_of(one, "aggregate", world.moment, EXPIRED), kafka_offset=1)
    letters = [
        letter_of(one, "aggregate", world.moment, EXPIRED),
        copy,
        letter_of(one, "archive", world.moment, EXPIRED),
    ]
    assert len({letter.letter_id for letter in letters}) == 1
    world.s3.put_letters(letters)
    world.count()
    assert sorted((group["consumer"], group["letters"]) for group in world.groups()) == [
        ("aggregate", 2),
        ("archive", 1),
    ]
    number = world.begin(letters, "aggregate")
    world.run()
    assert world.state(number)[0] == "done"
    assert world.takers["aggregate"].offsets == [[0, 1]]
    states = {group["consumer"]: group["state"] for group in world.groups()}
    assert states == {"aggregate": "closed", "archive": "open"}


def test_a_run_whose_time_is_over_goes_on_with_the_next_piece(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.edge.redrive.giving.PIECE", 2)
    letters = world.give_up("aggregate", EXPIRED, [0, 1, 2, 3, 4])
    number = world.begin(letters, "aggregate")
    assert [world.run(may_go_on=lambda: False) for _ in range(2)] == [2, 2]
    assert world.run() == 1
    assert world.state(number) == ("done", None)
    assert world.takers["aggregate"].offsets == [[0, 1], [2, 3], [4]]
    assert world.tables.rows(STANDINGS) == [("accounted", 1, None, 5)]


def test_there_is_nothing_to_fix_and_an_answer_says_who_gets_the_records(world: World, database: str) -> None:
    letters = world.give_up("archive", POISON, [0, 1])
    asked = {**world.range, "group_id": key_of(letters[0]).group_id}
    with closing(connect_as(database, "redrive")) as connection:
        measured = world.look(connection).measure(asked)
        assert (measured["consumer"], measured["fix"]) == ("archive", [])
        assert (measured["tried"], measured["passed"]) == (2, 2)
        for question in ({**asked, "fix": [{"verb": "drop", "path": "a"}]}, None):
            with pytest.raises(Refusal) as refused:
                world.look(connection).measure(question) if question else world.look(connection).propose(asked)
            assert refused.value.code == "nothing_to_fix"
        explained = world.look(connection).explain({**world.range, "letter_id": letters[0].letter_id[:12]})
        assert (explained["redrivable"], explained["breaches"]) == (True, [])


def test_letters_of_no_accounted_consumer_are_refused(world: World, database: str) -> None:
    letters = world.give_up("recount", POISON, [0])
    asked = {**world.range, "group_id": key_of(letters[0]).group_id}
    with closing(connect_as(database, "redrive")) as connection, pytest.raises(Refusal) as refused:
        world.look(connection).measure(asked)
    assert refused.value.code == "redrive_of_consumer"


def test_letters_that_name_no_fleet_are_refused(world: World, database: str) -> None:
    letter = msgspec.structs.replace(letter_of(world.sent(0), "archive", world.moment, POISON), fleet_id=None)
    world.s3.put_letters([letter])
    asked = {**world.range, "group_id": key_of(letter).group_id}
    with closing(connect_as(database, "redrive")) as connection, pytest.raises(Refusal) as refused:
        world.look(connection).measure(asked)
    assert (refused.value.status, refused.value.code) == (404, "unknown_fleet")


def test_a_letter_without_its_header_is_incomplete(world: World) -> None:
    letter = msgspec.structs.replace(letter_of(world.sent(0), "archive", world.moment, POISON), envelope=None)
    world.s3.put_letters([letter])
    world.count()
    number = world.begin([letter], "archive")
    world.run()
    assert world.state(number)[0] == "done"
    assert world.tables.rows(STANDINGS) == [("incomplete", 0, None, 1)]
    assert [group["state"] for group in world.groups()] == ["closed"]
