"""The ledger on a real database: what is stored counts once, what is missing is found, named and run again."""

import contextlib
import io
import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import KafkaException

from sluice.core.consumers import ACCOUNTED, RAW_EVENTS, Consumer
from sluice.core.errors import Poison
from sluice.core.failures.salvage import GivenUp
from sluice.core.ledger.rerun import MissingEvent, ReadRecord
from sluice.core.ledger.statement import LedgerFacts, Statement, draw_up
from sluice.core.records import Origin
from sluice.core.rollups.watermark import Covered
from sluice.core.samples.events import Unreadable, put_down
from sluice.core.times import write_time
from sluice.edge import database as databases
from sluice.edge.database import Connection
from sluice.edge.ledger.statements import read_facts
from sluice.edge.ledger.tables import LedgerTables
from sluice.edge.rollups.rolling import Rolling
from tests.database.aggregating import Processes, Sent, Tables, now, read
from tests.database.stored import (
    RAW,
    S3,
    Clock,
    Died,
    Dying,
    Function,
    Kafka,
    aggregating,
    as_reconcile,
    count,
    letter_of,
    reconciling,
    rejected,
    shuffled,
)

MINUTE, GRACE = timedelta(minutes=1), timedelta(minutes=15)
TALLIES = (
    "SELECT consumer, fleet_id, received_hour, outcome, sum(events)::int FROM outcome"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)
SAVED = ("sample", "settled_event", "dirty", "outcome", "coverage", "counted_object")
COVERED = "SELECT consumer, topic, partition, offsets::text FROM coverage ORDER BY 1, 2, 3"


@pytest.fixture
def tables(database: str) -> Iterator[Tables]:
    found = Tables(database)
    with found.connection:
        found.rows("SELECT 1")
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


def stream(size: int, partitions: int = 3, moment: datetime | None = None) -> list[Sent]:
    """Events of two fleets, some minutes apart and over an hour's end, on several partitions."""
    start = (moment or now()) - size * MINUTE
    fleets = ("demo", "other")
    return [
        Sent(
            number // partitions,
            start + number * MINUTE,
            start + number * MINUTE,
            fleet_id=fleets[number % 2],
            partition=number % partitions,
        )
        for number in range(size)
    ]


def outcome(tables: Tables) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    return tables.rows(TALLIES), tables.rows(COVERED)


def facts(connection: Connection, day: date) -> LedgerFacts:
    def ask(kind: type[LedgerFacts], sql: str, *parameters: str) -> LedgerFacts:
        return msgspec.json.decode(databases.ask(connection, sql, *parameters) or b"", type=kind)

    return read_facts(ask, day, "")


def state(connection: Connection, day: date) -> Statement:
    return draw_up(day.isoformat(), facts(connection, day))


def test_a_statement_knows_whether_a_redrive_is_under_way(reconcile: Connection, tables: Tables) -> None:
    today = now().date()
    assert not facts(reconcile, today).redriving
    tables.rows(
        "INSERT INTO redrive (group_id, fleet_id, fix, since, until, principal, reason, correlation_id)"
        " VALUES ('0123456789abcdef', 'demo', '[]', now(), now(), 'p', 'r', 'c') RETURNING 1"
    )
    assert facts(reconcile, today).redriving == ["demo"]
    tables.rows("UPDATE redrive SET state = 'cancelled' RETURNING 1")
    assert not facts(reconcile, today).redriving
    # What it sent is under way all the same, as long as an event may be.
    tables.rows(
        "INSERT INTO redrive_letter (letter_id, redrive_number, state, attempts, kafka_partition, kafka_offset)"
        " SELECT repeat('0', 64), redrive_number, 'accepted', 1, 0, 7 FROM redrive RETURNING 1"
    )
    assert facts(reconcile, today).redriving == ["demo"]
    tables.rows("UPDATE redrive SET moved_at = now() - interval '8 hours' RETURNING 1")
    assert not facts(reconcile, today).redriving


def test_the_rows_of_a_file_are_counted_by_fleet_and_hour_and_cover_their_offsets(
    reconcile: Connection, tables: Tables
) -> None:
    hour = now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    rows = [Sent(5, hour, hour), Sent(6, hour, hour + 59 * MINUTE), Sent(9, hour, hour + 60 * MINUTE)]
    s3 = S3()
    s3.put_rows([*rows, rows[1], Sent(0, hour, hour, fleet_id="other", partition=7)])
    counts = count(reconcile, s3)
    assert (counts.objects, counts.new, counts.complete) == (1, 4, True)
    assert tables.rows(TALLIES) == [
        ("archive", "demo", hour, "archived", 2),
        ("archive", "demo", hour + 60 * MINUTE, "archived", 1),
        ("archive", "other", hour, "archived", 1),
    ]
    assert tables.rows(COVERED) == [
        ("archive", "raw-events", 0, "{[5,7),[9,10)}"),
        ("archive", "raw-events", 7, "{[0,1)}"),
    ]
    assert tables.rows("SELECT max(received_until) FROM coverage") == [(hour + 60 * MINUTE,)]
    # Holes between files are no gaps in the numbers.
    assert tables.rows("SELECT count(*) FROM gap") == [(0,)]


def test_a_file_is_noted_with_its_receptions_and_with_the_hours_of_its_late_events(
    reconcile: Connection, tables: Tables
) -> None:
    hour = now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    earlier = hour - timedelta(hours=30)
    in_time = [Sent(0, hour, hour), Sent(1, hour, hour + 59 * MINUTE, fleet_id="other")]
    late = [Sent(2 + at, earlier + at * MINUTE, hour + at * MINUTE) for at in range(3)]
    late.append(Sent(5, hour - timedelta(hours=2), hour, fleet_id="other"))
    s3 = S3()
    both, only_in_time = s3.put_rows([*in_time, *late], name="both"), s3.put_rows(in_time, name="only")
    noted = "SELECT object, received_from, received_to FROM counted_object ORDER BY object"
    indexed = "SELECT fleet_id, hour, object, events FROM late_object ORDER BY fleet_id"
    assert count(reconcile, s3).unreadable == {}
    assert tables.rows(noted) == [(name, hour, hour + 59 * MINUTE) for name in (both, only_in_time)]
    assert tables.rows(indexed) == [("demo", earlier, both, 3), ("other", hour - timedelta(hours=2), both, 1)]
    # Written again with more in it: the same rows, with what the object has now.
    s3.put_rows([*in_time, *late, replace(late[0], offset=6, received_at=hour + 70 * MINUTE)], name="both")
    count(reconcile, s3)
    assert tables.rows(noted)[0] == (both, hour, hour + 70 * MINUTE)
    assert tables.rows(indexed)[0] == ("demo", earlier, both, 4)
    # Letters are objects too, and say nothing of receptions.
    s3.put_letters([letter_of(Sent(9, hour, hour), "archive", now())])
    count(reconcile, s3)
    assert tables.rows(noted)[-1][1:] == (hour, hour + 59 * MINUTE)
    assert tables.rows(f"SELECT received_from, received_to FROM ({noted}) AS o LIMIT 1") == [(None, None)]


@pytest.mark.parametrize("seed", range(4))
def test_any_order_repetition_and_crash_of_objects_leaves_the_same_counts(
    reconcile: Connection, tables: Tables, seed: int
) -> None:
    draw = random.Random(seed)
    sent = stream(150)
    poison = draw.sample(sent, 10)
    stored = [one for one in sent if one not in poison]
    s3 = S3()
    for number, file in enumerate(shuffled(draw, stored, pieces=5)):
        s3.put_rows(file, name=f"{draw.random()}-{number}")
    s3.put_letters([letter_of(one, "archive", now()) for one in poison[:6]], offset=0)
    s3.put_letters([letter_of(one, "archive", now()) for one in poison[3:]], offset=6)
    for statements in range(0, 90, 7):
        dying: Connection = Dying(reconcile, statements)  # type: ignore[assignment]
        with contextlib.suppress(Died):
            count(dying, s3, most=draw.randrange(4))
    # Written again under the same name, with more in it; another file holds it too.
    s3.put_letters([letter_of(one, "archive", now()) for one in poison], offset=0)
    s3.put_rows(stored[:40], name="again")
    count(reconcile, s3)
    done = outcome(tables)
    assert count(reconcile, s3).objects == 0
    assert outcome(tables) == done
    assert done[1] == [("archive", "raw-events", partition, "{[0,50)}") for partition in range(3)]
    counted: dict[tuple[str, str], int] = {}
    for _, fleet, _, what, events in done[0]:
        counted[str(fleet), str(what)] = counted.get((str(fleet), str(what)), 0) + int(str(events))
    of = {fleet: sum(one.fleet_id == fleet for one in poison) for fleet in ("demo", "other")}
    assert counted == {
        (fleet, what): events
        for fleet in of
        for what, events in (("archived", 75 - of[fleet]), ("dead_lettered", of[fleet]))
        if events
    }


def test_a_run_that_has_no_time_for_all_continues_where_it_stopped(reconcile: Connection, tables: Tables) -> None:
    sent = stream(40)
    s3 = S3()
    for number in range(4):
        s3.put_rows(sent[number::4], name=str(number))
    seen = [count(reconcile, s3, most=most) for most in (1, 0, 2, 9)]
    assert [(one.objects, one.complete) for one in seen] == [(1, False), (0, False), (2, False), (1, True)]
    assert sum(int(str(row[-1])) for row in tables.rows(TALLIES)) == 40


def test_days_are_looked_through_from_the_one_before_the_last_and_letters_all_of_them_on_request(
    reconcile: Connection,
) -> None:
    s3 = S3()
    s3.put_rows([Sent(0, now(), now())], day="2026-02-28")
    s3.put_rows([Sent(1, now(), now())], day="2026-03-01")
    count(reconcile, s3)
    late = letter_of(Sent(7, now(), now()), "archive", now() - timedelta(days=9))
    s3.put_letters([letter_of(Sent(6, now(), now()), "archive", now())])
    count(reconcile, s3)
    s3.put_letters([late], offset=90)
    s3.listed.clear()
    assert count(reconcile, s3).objects == 0
    assert s3.listed == [
        f"dead_letters/region=here/dt={now().date() - timedelta(days=1)}",
        "raw/region=here/dt=2026-02-28",
    ]
    assert count(reconcile, s3, all_letters=True).objects == 1


def test_an_object_that_cannot_be_read_is_reported_and_keeps_none_of_the_others(reconcile: Connection) -> None:
    s3 = S3()
    s3.objects["raw/region=here/dt=2026-03-01/0"] = b"no Parquet"
    s3.objects["dead_letters/region=here/dt=2026-03-01/00000-1.json.gz"] = b"no gzip"
    s3.put_rows([Sent(0, now(), now())], name="9")
    counts = count(reconcile, s3)
    assert (counts.objects, counts.complete, sorted(counts.unreadable)) == (
        1,
        True,
        ["dead_letters/region=here/dt=2026-03-01/00000-1.json.gz", "raw/region=here/dt=2026-03-01/0"],
    )


@pytest.mark.shows_loss_path(
    fails="an object among the raw files or dead letters cannot be read",
    section="In the stores",
    event_is="in Kafka for six hours",
    told="`reconcile-unreadable`, then `reconcile-newly-missing`",
    comes_back="reconcile runs again what only that object records",
)
def test_one_odd_object_of_any_kind_is_reported_and_keeps_none_of_the_others(
    reconcile: Connection, tables: Tables
) -> None:
    s3, moment = S3(), now()
    good = s3.put_rows([Sent(0, moment, moment), Sent(5, moment, moment)], name="the-last")
    table = pq.read_table(io.BytesIO(s3.objects[good]))
    for name, odd in (
        ("columns", table.drop_columns(["kafka_offset"])),
        ("offset", blank(table, "kafka_offset")),
        ("partition", blank(table, "kafka_partition")),
        ("fleet", blank(table, "fleet_id")),
    ):
        file = io.BytesIO()
        pq.write_table(odd, file)
        s3.objects[f"{RAW}dt=2026-03-01/{name}"] = file.getvalue()
    s3.objects[f"{RAW}dt=2026-03-01/empty"] = b""
    s3.objects[f"{RAW}dt=2026-03-01/denied"] = b"denied"
    letter = letter_of(Sent(1, moment, moment), "archive", moment)
    s3.put_letters([msgspec.structs.replace(letter, received_at="2026-13-45T00:00:00.000000Z")])
    (odd_letter,) = (name for name in s3.objects if name.startswith("dead"))
    s3.put_letters([letter_of(Sent(2, moment, moment), "archive", moment)], offset=5)
    counts = count(reconcile, s3)
    assert (counts.objects, counts.complete) == (2, True)
    assert {name.rpartition("/")[2] for name in counts.unreadable if name != odd_letter} == {
        "columns", "offset", "partition", "fleet", "empty", "denied",
    }  # fmt: skip
    assert odd_letter in counts.unreadable
    for name in ("offset", "partition"):
        assert "its record's offset" in counts.unreadable[f"{RAW}dt=2026-03-01/{name}"]
    assert "KMS" in counts.unreadable[f"{RAW}dt=2026-03-01/denied"]
    # Nothing of them is left behind.
    assert tables.rows(COVERED) == [("archive", "raw-events", 0, "{[0,1),[2,3),[5,6)}")]


def test_rows_that_name_no_topic_are_of_raw_events_beside_those_that_name_one(
    reconcile: Connection, tables: Tables
) -> None:
    s3, moment = S3(), now()
    s3.put_rows([Sent(offset, moment, moment) for offset in (0, 1)], name="named")
    s3.put_rows([Sent(offset, moment, moment, topic="replay-events") for offset in (0, 1)], name="of another")
    table = pq.read_table(
        io.BytesIO(s3.objects[s3.put_rows([Sent(offset, moment, moment) for offset in range(2, 10)])])
    )
    place = table.schema.get_field_index("kafka_topic")
    unnamed = table.set_column(place, "kafka_topic", pa.nulls(table.num_rows, pa.string()))
    for name, rows in (
        ("none named", unnamed.slice(0, 3)),
        ("some named", blank(table.slice(3, 3), "kafka_topic")),
        ("no such column", table.drop_columns(["kafka_topic"]).slice(6)),
    ):
        file = io.BytesIO()
        pq.write_table(rows, file)
        s3.objects[f"{RAW}dt=2026-03-01/{name}"] = file.getvalue()
    del s3.objects[f"{RAW}dt=2026-03-01/2"]
    counts = count(reconcile, s3)
    assert (counts.objects, counts.complete, counts.unreadable) == (5, True, {})
    assert tables.rows(COVERED) == [
        ("archive", "raw-events", 0, "{[0,10)}"),
        ("archive", "replay-events", 0, "{[0,2)}"),
    ]


def blank(table: pa.Table, name: str) -> pa.Table:
    """Take a column's first value away."""
    values = pa.array([None, *table[name].to_pylist()[1:]], table.schema.field(name).type)
    return table.set_column(table.schema.get_field_index(name), name, values)


@pytest.mark.parametrize("day", ["2026-13-45", "9999-12-31"])
def test_an_object_of_a_day_that_is_none_or_yet_to_come_hides_nothing(reconcile: Connection, day: str) -> None:
    s3 = S3()
    s3.put_rows([Sent(0, now(), now())], day=day)
    count(reconcile, s3)
    s3.put_rows([Sent(1, now(), now())], day=str(now().date()))
    assert count(reconcile, s3).objects == 1


def test_rows_that_are_written_during_a_run_are_of_their_own_hour_and_known_when_they_are_read_again(
    reconcile: Connection, tables: Tables
) -> None:
    hour = now().replace(minute=0, second=0, microsecond=0)
    # It is asked for each consumer's letters, and for each file.
    moments = iter([hour - MINUTE] * 3 + [hour + MINUTE] * 9)
    s3 = S3()
    s3.put_rows([Sent(0, hour - MINUTE, hour - MINUTE), Sent(4, hour, hour + 9 * MINUTE)], name="0")
    # Ahead of reconcile's clock, like the fourth: one by less than clocks may differ, the other by more.
    rows = [Sent(offset, hour, hour + offset * 5 * MINUTE) for offset in (1, 2)]
    s3.put_rows(rows, name="1")
    s3.put_letters([letter_of(Sent(3, hour, hour + 4 * MINUTE), "archive", hour + MINUTE)])
    count(reconcile, s3, clock=lambda: next(moments))
    assert tables.rows("SELECT received_until FROM coverage") == [(hour + 5 * MINUTE,)]
    s3.put_rows([rows[0]], name="2")
    assert count(reconcile, s3).new == 0
    assert covered_ranges(tables) == [("raw-events", "{[0,5)}", None)]
    # What cannot have been received yet counts in the hour in which it is found, as with aggregate.
    assert [row[2:] for row in tables.rows(TALLIES)] == [
        (hour - 60 * MINUTE, "archived", 2),
        (hour, "archived", 2),
        (hour, "dead_lettered", 1),
    ]


def test_what_both_are_missing_and_no_hole_names_leaves_no_day_before_it_balanced(
    reconcile: Connection, tables: Tables, processes: Processes
) -> None:
    day = now().date() - timedelta(days=1)
    tables.rows("INSERT INTO fleet (fleet_id) VALUES ('demo') RETURNING 1")
    tables.rows("INSERT INTO fleet (fleet_id) VALUES ('other') RETURNING 1")
    kafka, clock, s3 = Kafka(), Clock(), S3()
    sent = stream(30, partitions=1, moment=datetime.combine(day, datetime.min.time(), now().tzinfo) + 12 * 60 * MINUTE)
    kafka.store(sent)
    kafka.first[0] = 30
    for consumer in ("archive", "aggregate"):
        kafka.commit(consumer)
    processes.start().add(read(sent[:20]), set())
    s3.put_rows(sent[:20])
    count(reconcile, s3)
    functions = {name: Function(pytest.fail) for name in ("archive", "aggregate")}
    work = reconciling(reconcile, kafka, functions, clock, GRACE)
    work.compare(complete=True)
    assert {account.state for account in state(reconcile, day).fleets} == {"balanced"}
    clock.now += GRACE
    found = work.compare(complete=True)
    assert [one.newly_missing for one in found.values()] == [10, 10]
    assert {account.state for account in state(reconcile, day).fleets} == {"missing"}
    assert state(reconcile, day + timedelta(days=9)).fleets == []
    # It stays missing, and the next missing one shows beside it.
    assert [(one.missing, one.newly_missing) for one in work.compare(complete=True).values()] == [(10, 0), (10, 0)]
    assert facts(reconcile, day).unnamed_until is not None
    named = [MissingEvent(one.record().origin, one.fleet_id, "d", "e", one.received_at) for one in sent[20:]]
    for consumer in ("archive", "aggregate"):
        LedgerTables(reconcile, "raw-events").name(consumer, named[:9])
    assert facts(reconcile, day).unnamed_until is not None
    LedgerTables(reconcile, "raw-events").name("archive", [msgspec.structs.replace(named[9], fleet_id="")])
    assert facts(reconcile, day).unnamed_until is not None
    LedgerTables(reconcile, "raw-events").name("aggregate", named[9:])
    assert facts(reconcile, day).unnamed_until is None


def test_what_every_consumer_is_missing_was_received_before_the_first_was_noticed_to_miss_it(
    reconcile: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, day = now(), now().date()

    def hole(consumer: str, start: int, end: int, minutes: int) -> None:
        reconcile.execute(
            "INSERT INTO hole (consumer, topic, partition, offsets, noticed_at, missing)"
            " VALUES (%s, 'raw-events', 0, int8range(%s, %s), %s, true)",
            (consumer, start, end, moment + minutes * MINUTE),
        )

    def unnamed_until() -> str | None:
        return facts(reconcile, day).unnamed_until

    hole("archive", 0, 10, 5)
    assert unnamed_until() is None
    hole("aggregate", 0, 4, 0)
    hole("aggregate", 4, 12, 9)
    assert unnamed_until() == write_time(moment + 5 * MINUTE)
    three = (*ACCOUNTED, Consumer("detect", RAW_EVENTS, ("judged",)))
    monkeypatch.setattr("sluice.edge.ledger.statements.ACCOUNTED", three)
    assert unnamed_until() is None
    hole("detect", 2, 6, 3)
    assert unnamed_until() == write_time(moment + 3 * MINUTE)
    # What is missed first by aggregate is all that has no name.
    for offset in (4, 5):
        named = MissingEvent(Origin("raw-events", 0, offset), "demo", "d", "e", moment)
        LedgerTables(reconcile, "raw-events").name("archive", [named])
    assert unnamed_until() == write_time(moment)


def test_one_partition_that_cannot_be_run_again_keeps_no_other_from_it(
    reconcile: Connection, processes: Processes, tables: Tables
) -> None:
    kafka, clock = Kafka(), Clock()
    sent = stream(9)
    kafka.store(sent)
    kafka.commit("aggregate")

    def read_or_break(partition: int, start: int, end: int) -> Iterator[list[ReadRecord]]:
        if partition == 0:
            raise KafkaException("no such partition")
        return Kafka.read(kafka, partition, start, end)

    kafka.read = read_or_break  # type: ignore[method-assign]
    work = reconciling(reconcile, kafka, {"aggregate": aggregating(processes.start())}, clock, GRACE)
    work.compare(complete=True)
    clock.now += GRACE
    told: list[str] = []
    assert work.mend(work.compare(complete=True), told.append) == 6
    assert len(told) == 1
    assert "partition 0" in told[0]
    assert tables.covered() == {1: [(0, 3)], 2: [(0, 3)]}


def test_a_record_that_was_buried_by_a_clock_behind_is_known_when_it_is_run_again(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    first, ahead = Sent(0, moment, moment), Sent(1, moment, moment + 2 * MINUTE)
    writer = processes.start()
    writer.add(read([first]), set())
    writer.bury([put_down(ahead.record(), Poison("no"), moment)])
    # A later release can read it.
    assert writer.add(read([ahead]), set()).events == []
    assert covered_ranges(tables) == [("raw-events", "{[0,2)}", None)]


def test_letters_of_aggregate_cover_what_it_gave_up_and_nothing_twice(
    reconcile: Connection, processes: Processes, tables: Tables
) -> None:
    moment = now()
    taken, given_up = Sent(0, moment, moment), Sent(1, moment, moment)
    processes.start().add(read([taken]), set())
    s3 = S3()
    s3.put_letters([letter_of(taken, "aggregate", moment), letter_of(given_up, "aggregate", moment)])
    assert count(reconcile, s3).new == 1
    assert tables.outcomes() == {"counted": 1, "dead_lettered": 1}
    assert tables.covered() == {0: [(0, 2)]}
    # It was received when its letter says so: a later rerun belongs to the same topic.
    assert processes.start().add(read([given_up]), set()).events == []
    assert tables.covered() == {0: [(0, 2)]}


@pytest.mark.shows_loss_path(fails="the database is away for more than four hours")
def test_what_was_given_up_is_accounted_for_and_its_windows_stay_gaps(reconcile: Connection, tables: Tables) -> None:
    moment = now()
    expired = GivenUp("it waited for longer than an event may", "expired", 3)
    s3 = S3()
    for _ in range(2):
        given_up = [letter_of(Sent(offset, moment, moment), "aggregate", moment, expired) for offset in (0, 1, 4)]
        s3.put_letters([*given_up, letter_of(Sent(5, moment, moment), "aggregate", moment)], offset=len(s3.objects))
        count(reconcile, s3)
    assert tables.covered() == {0: [(0, 2), (4, 6)]}
    assert tables.outcomes() == {"dead_lettered": 4}
    gaps = "SELECT offsets::text, received_from, received_to FROM gap WHERE given_up ORDER BY offsets"
    assert tables.rows(gaps) == [("[0,2)", moment, moment), ("[4,5)", moment, moment)]


def test_what_was_rejected_counts_once_a_day_however_often_it_was_sent(reconcile: Connection, tables: Tables) -> None:
    noon = now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    s3 = S3()
    s3.put_letters([rejected("a", noon), rejected("a", noon + MINUTE), rejected("b", noon), rejected("a", noon, "x")])
    count(reconcile, s3)
    s3.put_letters([rejected("a", noon + 2 * MINUTE), rejected("c", noon + 90 * MINUTE)], offset=4)
    count(reconcile, s3)
    assert tables.rows(TALLIES) == [
        ("ingest", "demo", noon, "rejected", 2),
        ("ingest", "demo", noon + timedelta(hours=1), "rejected", 1),
        ("ingest", "x", noon, "rejected", 1),
    ]


def test_holes_are_noticed_age_are_named_and_are_run_again_and_the_accounts_agree(
    reconcile: Connection, processes: Processes, tables: Tables
) -> None:
    day = now().date() - timedelta(days=1)
    noon = datetime.combine(day, datetime.min.time(), now().tzinfo) + timedelta(hours=12)
    for fleet in ("demo", "other"):
        tables.rows("INSERT INTO fleet (fleet_id) VALUES (%s) RETURNING 1", fleet)
    kafka, clock, s3, writer = Kafka(), Clock(), S3(), processes.start()
    sent = stream(60, moment=noon)
    kafka.store(sent)
    writer.add(read(sent), set())
    lost = [one for one in sent if one.partition == 1 and 4 <= one.offset < 9]
    s3.put_rows([one for one in sent if one not in lost])
    functions = {
        "archive": Function(
            lambda records: s3.put_rows([_find(sent, record.origin.offset) for record in records]) and []
        ),
        "aggregate": aggregating(writer),
    }
    work = reconciling(reconcile, kafka, functions, clock, GRACE)

    # Nothing is committed yet: everything that is not covered is in flight.
    assert {name: (one.in_flight, one.open) for name, one in work.compare(complete=True).items()} == {
        "archive": (60, 0),
        "aggregate": (0, 0),
    }
    kafka.commit("archive")
    kafka.commit("aggregate")
    assert work.compare(complete=True)["archive"].open == 60
    # What aggregate has covered since the brokers were asked is ahead of them.
    for change in (-1, 1):
        moved = f"last_offset = last_offset + {change}, committed_offset = committed_offset + {change}"
        tables.rows(f"UPDATE standing SET {moved} RETURNING 1")
        assert [one.ahead for one in state(reconcile, day).positions] == [0, 3 if change < 0 else 0]
    clock.now += GRACE / 2
    count(reconcile, s3)
    found = work.compare(complete=True)
    assert (found["archive"].open, found["archive"].missing, found["aggregate"].open) == (5, 0, 0)
    clock.now += GRACE / 2
    # What is not counted to its end is not judged.
    assert work.compare(complete=False)["archive"].missing == 0
    found = work.compare(complete=True)
    assert found["archive"].missing == 5
    statement = state(reconcile, day)
    assert [(one.consumer, one.under_way, one.missing, one.lost) for one in statement.positions] == [
        ("archive", 0, 5, 0),
        ("aggregate", 0, 0, 0),
    ]

    assert work.mend(found, pytest.fail) == 5
    assert functions["archive"].invoked == [[4, 5, 6], [7, 8]]
    statement = state(reconcile, day)
    assert [(one.kafka_offset, one.event_id, one.in_kafka) for one in statement.missing] == [
        (one.offset, str(one.key), True) for one in lost
    ]
    assert {account.fleet_id: account.state for account in statement.fleets} == {"demo": "missing", "other": "missing"}
    # The effect shows late. Until then it is not run again.
    clock.now += GRACE / 2
    assert work.mend(work.compare(complete=True), pytest.fail) == 0
    count(reconcile, s3)
    work.compare(complete=True)
    statement = state(reconcile, day)
    assert statement.missing == []
    assert tables.rows("SELECT count(*) FROM hole") == [(0,)]
    assert [(a.fleet_id, a.state, a.accepted, a.of("archive"), a.of("aggregate")) for a in statement.fleets] == [
        (
            fleet,
            "balanced",
            30,
            {"archived": 30, "dead_lettered": 0, "not_yet": 0},
            {"counted": 30, "late": 0, "duplicate": 0, "dead_lettered": 0, "not_yet": 0},
        )
        for fleet in ("demo", "other")
    ]
    assert [(one.accepted, one.covered) for one in statement.positions] == [(60, 60), (60, 60)]


def test_a_restored_database_is_brought_up_to_date_by_itself(
    reconcile: Connection, processes: Processes, tables: Tables
) -> None:
    kafka, clock, s3, writer = Kafka(), Clock(), S3(), processes.start()
    sent = stream(60)
    kafka.store(sent)
    writer.add(read(sent[:30]), set())
    s3.put_rows(sent[:30], name="0")
    count(reconcile, s3)
    save(tables)
    writer.add(read(sent[30:]), set())
    s3.put_rows(sent[30:], name="1")
    count(reconcile, s3)
    kafka.commit("archive")
    kafka.commit("aggregate")
    after = outcome(tables), tables.samples(), tables.samples("other")
    restore(tables)
    assert outcome(tables) != after[0]

    functions = {"archive": Function(pytest.fail), "aggregate": aggregating(processes.start())}
    work = reconciling(reconcile, kafka, functions, clock, GRACE)
    count(reconcile, s3)
    assert work.compare(complete=True)["aggregate"].open == 30
    clock.now += GRACE
    assert work.mend(work.compare(complete=True), pytest.fail) == 30
    assert (outcome(tables), tables.samples(), tables.samples("other")) == after
    assert work.compare(complete=True)["aggregate"].open == 0


def save(tables: Tables) -> None:
    """Keep a copy of the database as it is."""
    for name in SAVED:
        tables.connection.execute(f"CREATE TABLE saved_{name} AS TABLE {name}".encode())


def restore(tables: Tables) -> None:
    """Take the database back to where it was: everything that came later is gone."""
    for name in SAVED:
        tables.connection.execute(f"TRUNCATE {name}".encode())
        tables.connection.execute(f"INSERT INTO {name} TABLE saved_{name}".encode())


def covered_ranges(tables: Tables) -> list[tuple[object, ...]]:
    """What is covered under which name, and since when."""
    return tables.rows("SELECT topic, offsets::text, nullif(begun_at, '-infinity') FROM coverage ORDER BY topic")


@pytest.mark.shows_loss_path(
    fails="a topic is recreated and begins at offset 0",
    section="In the stores",
    event_is="in the new topic; the ledger does not take it for a known one",
    told="no one",
    comes_back="nothing to do: the old offsets are put aside",
)
def test_a_recreated_topic_loses_none_of_its_first_events(
    processes: Processes, reconcile: Connection, tables: Tables
) -> None:
    start = now() - 30 * MINUTE
    old = [Sent(offset, start + offset * MINUTE, start + offset * MINUTE) for offset in range(10)]
    writer = processes.start()
    writer.add(read([*old[:3], *old[5:]]), set())
    assert tables.rows("SELECT topic FROM gap") == [("raw-events",)]
    new = [Sent(offset, start + 20 * MINUTE, start + 20 * MINUTE, event_id=str(uuid.uuid4())) for offset in range(4)]
    assert len(writer.add(read(new), set()).events) == 4
    aside = f"raw-events@{write_time(start + 20 * MINUTE)}"
    assert covered_ranges(tables) == [("raw-events", "{[0,4)}", start + 20 * MINUTE), (aside, "{[0,3),[5,10)}", None)]
    assert tables.rows("SELECT topic FROM gap") == [(aside,)]
    # A rerun is known as before, and the watermark is that of the new topic.
    assert processes.start().add(read(new), set()).events == []
    assert tables.outcomes() == {"counted": 12}
    covered = Rolling(databases.Database(lambda: reconcile, 5), MINUTE, {}).read_covered("aggregate", "raw-events")
    assert covered == {0: Covered(4, start + 20 * MINUTE)}


@pytest.mark.parametrize("seed", range(20))
def test_files_of_a_topic_from_before_it_was_recreated_may_come_among_those_from_after_it(
    reconcile: Connection, tables: Tables, seed: int
) -> None:
    draw, start = random.Random(seed), now() - 60 * MINUTE
    old = [Sent(offset, start, start + offset * MINUTE) for offset in range(20)]
    new = [Sent(offset, start, start + (30 + offset) * MINUTE) for offset in range(12)]
    s3 = S3()
    # The old topic was counted up to some place when the new one began; one file spans both.
    s3.put_rows(old[:8], name="0")
    count(reconcile, s3)
    files = [[*old[14:], *new[:3]], new[3:7], new[:1], new[5:], new[2:4], old[6:14]]
    draw.shuffle(files)
    for number, file in enumerate(files):
        s3.put_rows(file, name=f"{number + 1}")
        count(reconcile, s3)
    assert [offsets for _, offsets, _ in covered_ranges(tables)] == ["{[0,12)}", "{[0,20)}"]
    assert sum(int(str(row[-1])) for row in tables.rows(TALLIES)) == 32


def test_a_redriven_event_of_a_recreated_topic_is_not_taken_for_one_of_the_old_topic(
    reconcile: Connection, tables: Tables
) -> None:
    start = now() - 60 * MINUTE
    s3 = S3()
    for name, sent in (
        ("old", [Sent(offset, start, start + offset * MINUTE) for offset in range(20)]),
        ("new", [Sent(offset, start, start + (30 + offset) * MINUTE) for offset in range(3)]),
        # It was received before the old topic's last event, and lies in the new one.
        ("redriven", [Sent(3, start, start + 2 * MINUTE, redriven=True)]),
    ):
        s3.put_rows(sent, name=name)
        count(reconcile, s3)
    assert [offsets for _, offsets, _ in covered_ranges(tables)] == ["{[0,4)}", "{[0,20)}"]
    hour = start.replace(minute=0, second=0, microsecond=0)
    assert tables.rows("SELECT hour, events, redriven FROM late_object") == [(hour, 0, 1)]


def test_a_redelivery_is_no_new_topic_even_of_what_was_buried_last(processes: Processes, tables: Tables) -> None:
    moment = now() - MINUTE
    (first,) = read([Sent(0, moment, moment)])
    buried = Unreadable(Origin("raw-events", 0, 1), first.group, moment + MINUTE / 2)
    writer = processes.start()
    writer.add([first], set())
    writer.bury([buried])
    # A later release can read it.
    assert writer.add(read([Sent(1, moment, moment + MINUTE / 2)]), set()).events == []
    assert covered_ranges(tables) == [("raw-events", "{[0,2)}", None)]


def _find(sent: list[Sent], offset: int) -> Sent:
    return next(one for one in sent if one.partition == 1 and one.offset == offset)
