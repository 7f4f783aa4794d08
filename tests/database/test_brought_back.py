"""Records that were given up and can be read now: run again, each closes its gap and counts once."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sluice.core.errors import Ahead, Poison
from sluice.core.failures.salvage import GivenUp
from sluice.core.samples.events import Unreadable, put_down
from sluice.edge.database import Connection
from tests.database.aggregating import Processes, Sent, Tables, now, read
from tests.database.stored import S3, as_reconcile, count, letter_of

GAPS = "SELECT offsets::text, received_from, received_to FROM gap WHERE given_up ORDER BY partition, offsets"
AHEAD = Ahead("telemetry 4")


@pytest.fixture
def tables(database: str) -> Iterator[Tables]:
    found = Tables(database)
    with found.connection:
        yield found


@pytest.fixture
def processes(database: str) -> Iterator[Processes]:
    made = Processes(database)
    yield made
    made.end()


@pytest.fixture
def reconcile(database: str) -> Iterator[Connection]:
    with as_reconcile(database) as connection:
        yield connection


def put_aside(*sent: Sent) -> list[Unreadable]:
    """The rows about records that the previous release could not read."""
    return [put_down(one.record(), AHEAD, now()) for one in sent]


def test_a_record_that_was_ahead_is_covered_and_a_gap_until_it_is_run_again_and_counts(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    sent = [Sent(offset, moment, moment) for offset in range(5)]
    before, after = processes.start(), processes.start()
    before.add(read(sent[:1]), set())
    before.bury(put_aside(*sent[1:]))
    before.bury(put_aside(*sent[1:]))
    assert tables.covered() == {0: [(0, 5)]}
    assert tables.outcomes() == {"counted": 1, "dead_lettered": 4}
    assert tables.rows(GAPS) == [("[1,5)", moment, moment)]
    effect = after.add(read([sent[0], sent[2]]), set())
    assert [event.origin.offset for event in effect.counted] == [2]
    assert tables.rows(GAPS) == [("[1,2)", moment, moment), ("[3,5)", moment, moment)]
    for _ in range(2):
        after.add(read(sent), set())
        assert tables.outcomes() == {"counted": 5, "dead_lettered": 0}
        assert len(tables.samples()) == 5
        assert tables.rows(GAPS) == []
    # The previous release runs beside its successor for a while and changes nothing of that.
    before.bury(put_aside(*sent[1:]))
    assert (tables.outcomes(), tables.rows(GAPS)) == ({"counted": 5, "dead_lettered": 0}, [])


def test_the_minute_of_what_is_brought_back_is_rolled_again(processes: Processes, tables: Tables) -> None:
    moment = now() - timedelta(minutes=20)
    one = Sent(0, moment, moment)
    writer = processes.start()
    writer.bury(put_aside(one))
    assert tables.markers() == set()
    writer.add(read([one]), set())
    assert {minute for _, minute, _ in tables.markers()} == {moment.replace(second=0, microsecond=0)}


def test_what_is_brought_back_ends_as_it_would_have_ended(processes: Processes, tables: Tables) -> None:
    moment = now()
    late, first = Sent(0, moment - timedelta(hours=2), moment), Sent(1, moment, moment)
    copy = Sent(2, moment, moment, event_id=str(first.key))
    writer = processes.start()
    writer.bury(put_aside(late, copy))
    writer.add(read([first]), set())
    effect = writer.add(read([late, copy]), set())
    assert effect.counted == []
    assert tables.outcomes() == {"counted": 1, "late": 1, "duplicate": 1, "dead_lettered": 0}


def test_a_letter_that_reconcile_counts_first_leaves_the_same_gap(
    reconcile: Connection, processes: Processes, tables: Tables
) -> None:
    moment = now()
    one = Sent(0, moment, moment)
    s3, writer = S3(), processes.start()
    s3.put_letters([letter_of(one, "aggregate", moment, AHEAD)])
    assert count(reconcile, s3).new == 1
    writer.bury(put_aside(one))
    assert tables.outcomes() == {"dead_lettered": 1}
    assert tables.rows(GAPS) == [("[0,1)", moment, moment)]
    writer.add(read([one]), set())
    s3.put_letters([letter_of(one, "aggregate", moment, AHEAD)], offset=1)
    assert count(reconcile, s3).new == 0
    assert (tables.outcomes(), tables.rows(GAPS)) == ({"counted": 1, "dead_lettered": 0}, [])


def test_what_expired_is_brought_back_too_and_poison_is_not(
    reconcile: Connection, processes: Processes, tables: Tables
) -> None:
    moment = now()
    expired, poison = Sent(0, moment, moment), Sent(1, moment, moment)
    s3 = S3()
    s3.put_letters([letter_of(expired, "aggregate", moment, GivenUp("it waited", "expired", 3))])
    count(reconcile, s3)
    writer = processes.start()
    writer.bury([put_down(poison.record(), Poison("no"), moment)])
    effect = writer.add(read([expired, poison]), set())
    assert [event.origin.offset for event in effect.counted] == [0]
    assert tables.outcomes() == {"counted": 1, "dead_lettered": 1}


def test_only_what_became_a_sample_is_said_to_be_counted(processes: Processes, tables: Tables) -> None:
    moment = now()
    new, late = Sent(0, moment, moment), Sent(1, moment - timedelta(hours=2), moment)
    again = Sent(2, moment, moment, event_id=str(new.key))
    other = Sent(4, moment, moment)
    writer = processes.start()
    assert [event.origin.offset for event in writer.add(read([new, late, again]), set()).counted] == [0]
    copy = Sent(3, moment, moment, event_id=str(new.key))
    effect = writer.add(read([copy, other]), set())
    assert [event.origin.offset for event in effect.counted] == [4]
    assert [event.origin.offset for event in effect.events] == [3, 4]
    assert len(tables.samples()) == 2


def test_a_record_has_counted_if_it_is_covered_in_no_gap_and_not_later_than_what_is_covered(
    processes: Processes, tables: Tables
) -> None:
    del tables
    moment = now()
    counted, ahead, unseen = (Sent(offset, moment, moment) for offset in range(3))
    of_another_topic = Sent(0, moment, moment + timedelta(seconds=1))
    writer = processes.start()
    writer.add(read([counted]), set())
    writer.bury(put_aside(ahead))
    sent = (counted, ahead, unseen, of_another_topic)
    assert [writer.has(put_down(one.record(), AHEAD, now() + timedelta(days=1))) for one in sent] == [
        True,
        False,
        False,
        False,
    ]
    writer.add(read([ahead]), set())
    assert writer.has(put_down(ahead.record(), AHEAD, now()))
