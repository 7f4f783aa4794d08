"""What the database knows of an event: a real one, with trace's own role, filled by aggregate."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import NoReturn

import msgspec
import psycopg
import pytest

from sluice.core.errors import Retryable
from sluice.core.events.identity import event_key
from sluice.core.ledger.statement import LedgerFacts
from sluice.core.limits import Limits
from sluice.core.matching.copies import Copy, Member, find_families
from sluice.core.records import Origin
from sluice.core.times import time_flags
from sluice.core.trace.incidents import leave_attempts_out
from sluice.core.trace.lake_search import SearchResult, StoredCopy
from sluice.core.trace.outcomes import Asked, Numbers, Trace, TracedCopy, TracedReplay, build_trace
from sluice.edge import database as databases
from sluice.edge.database import Database
from sluice.edge.ledger.statements import read_facts
from sluice.edge.matching.settling import settle
from sluice.edge.query.reading import Reader
from sluice.edge.query.rollups import RollupReader
from sluice.edge.trace.traces import TraceReader
from tests.database.aggregating import Processes, Sent, Tables, now, read
from tests.database.alerting import Alert
from tests.database.replaying import Replayer, connect_as, make_plan
from tests.support.alerts import reading, readings, verdict

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ONE = str(uuid.UUID(int=1))
PRESS = ("demo", "press-0001")


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
def traces(database: str) -> Iterator[TraceReader]:
    opened = []

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        opened.append(psycopg.connect(database, user="sluice_trace", autocommit=True, options="-c timezone=Asia/Tokyo"))
        return opened[-1]

    reader = Reader(Database(connect, 5), 60)
    yield TraceReader(reader, RollupReader(reader))
    for connection in opened:
        connection.close()


def millisecond(moment: datetime) -> datetime:
    """A moment as the files have it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def stored(sent: Sent) -> StoredCopy:
    """The row that archive writes of a record."""
    return StoredCopy(
        Origin(sent.topic, sent.partition, sent.offset),
        sent.fleet_id,
        sent.device_id,
        millisecond(sent.received_at),
        millisecond(sent.event_time),
        time_flags(sent.event_time, sent.received_at, Limits().clock_ahead, Limits().late),
        "telemetry",
        sent.version,
        "3.0.2",
        "telemetry",
        "test",
        hash(tuple(sorted(sent.metrics.items()))),
        f"s3://raw/{sent.offset}",
    )


def ask(traces: TraceReader, *sent: Sent, event_id: str = ONE) -> Numbers:
    return traces.read(event_id, [PRESS], {stored(one).origin for one in sent})


def trace(traces: TraceReader, *sent: Sent) -> Trace:
    asked = Asked(ONE, "demo", None, date(2026, 1, 1), date(2026, 1, 2))
    found = SearchResult(tuple(stored(one) for one in sent), ())
    return build_trace(asked, found, ask(traces, *sent), datetime.now(UTC), 130)


def copies(traces: TraceReader, *sent: Sent) -> Sequence[TracedCopy]:
    (event,) = trace(traces, *sent).events
    return event.copies


def outcomes(traces: TraceReader, *sent: Sent) -> list[tuple[int, str, bool]]:
    return [(copy.offset, copy.outcome, copy.seen) for copy in copies(traces, *sent)]


def test_a_counted_event_is_found_with_its_windows_and_whether_they_are_complete(
    processes: Processes, tables: Tables, traces: TraceReader
) -> None:
    moment = now()
    sent = Sent(7, moment - 5 * MINUTE, moment, event_id=ONE)
    processes.start().add(read([sent]), set())
    assert outcomes(traces, sent) == [(7, "counted", True)]
    (sample,) = ask(traces, sent).devices[PRESS].samples
    assert (sample.effective_time, sample.numbers) == (sent.event_time, 2)
    assert [(window.resolution, window.state, window.reason) for window in sample.windows] == [
        ("1m", "provisional", "not_closed"),
        ("1h", "provisional", "not_closed"),
        ("1d", "provisional", "not_closed"),
    ]
    assert all(
        window.window_start <= sent.event_time < window.window_start + timedelta(days=1) for window in sample.windows
    )
    tables.rows("UPDATE shard SET closed_until = %s RETURNING 1", moment)
    states = [(one.state, one.reason) for one in ask(traces, sent).devices[PRESS].samples[0].windows]
    assert states[0] == ("provisional", "being_rolled_again")
    tables.rows("DELETE FROM dirty RETURNING 1")
    assert ask(traces, sent).devices[PRESS].samples[0].windows[0].state == "complete"


def test_windows_that_have_left_the_database_are_said_to_have(
    processes: Processes, tables: Tables, traces: TraceReader
) -> None:
    moment = now()
    sent = Sent(7, moment, moment, event_id=ONE)
    processes.start().add(read([sent]), set())
    tables.rows("UPDATE horizon SET floor = %s WHERE store = 'rollup_1m' RETURNING 1", moment + HOUR)
    assert ask(traces, sent).devices[PRESS].samples[0].windows[0].state == "moved"


def test_copies_of_one_event_are_distinguished(processes: Processes, traces: TraceReader) -> None:
    moment = now()
    first = Sent(3, moment - MINUTE, moment, event_id=ONE)
    again = replace(first, offset=4, received_at=moment + timedelta(seconds=9))
    altered = replace(again, offset=5, event_time=moment - 2 * MINUTE, metrics={"cpu_temp": 9.0, "vibration_rms": 9.0})
    other = replace(first, offset=6, device_id="press-0002")
    processes.start().add(read([first, again, altered, other]), set())
    assert outcomes(traces, first, again, altered) == [
        (3, "counted", True),
        (4, "duplicate", True),
        (5, "conflict", True),
    ]
    assert [one.repeats for one in copies(traces, first, again, altered)][1:] == [Origin("raw-events", 0, 3)] * 2


def test_a_trace_and_a_statement_tell_of_replays_and_of_what_they_changed(
    database: str, processes: Processes, tables: Tables, traces: TraceReader
) -> None:
    moment = now()
    start = moment.replace(minute=0, second=0, microsecond=0)
    right, wrong = (Sent(7 + number, moment, moment, event_id=str(uuid.UUID(int=number))) for number in (1, 2))
    uncounted = replace(right, offset=3, event_id=str(uuid.UUID(int=3)))
    processes.start().add(read([right, wrong]), set())
    tables.rows(
        "UPDATE sample SET readings = '{1,1}' WHERE event_key = %s RETURNING 1", event_key(wrong.event_id).hex()
    )
    replayer = Replayer(database, make_plan("demo", start, start + HOUR))
    elsewhere = Replayer(database, make_plan("demo", start - 3 * HOUR, start - HOUR))
    replayer.resend([right, wrong, uncounted])
    assert [one.state for one in replays_of(traces, right)] == ["gathering"]
    replayer.swap()
    replayer.tables.note(replayer.number, removed=1, added=2, counted_back=1)
    replayer.tables.end(replayer.number, ["swapping"], "done")
    for sent, kept in ((right, True), (wrong, False), (uncounted, False)):
        (found,) = replays_of(traces, sent)
        assert (found.replay_id, found.state, found.kept) == (replayer.plan.replay_id, "done", kept)
        assert found.ended_at is not None
    with psycopg.connect(database, user="sluice_reconcile") as connection:

        def ask_ledger(kind: type[LedgerFacts], sql: str, *parameters: str) -> LedgerFacts:
            return msgspec.json.decode(databases.ask(connection, sql, *parameters) or b"", type=kind)

        of_all, of_one, of_other = (read_facts(ask_ledger, start.date(), fleet) for fleet in ("", "demo", "other"))
    for facts in (of_all, of_one):
        (told,) = [one for one in facts.replays if one.replay_id == replayer.plan.replay_id]
        assert (told.fleet_id, told.state) == ("demo", "done")
        assert (told.counted, told.removed, told.added) == (1, 1, 2)
    assert of_other.replays == []
    replayer.close()
    elsewhere.close()


def replays_of(traces: TraceReader, sent: Sent) -> Sequence[TracedReplay]:
    (sample,) = ask(traces, sent, event_id=sent.event_id).devices[PRESS].samples
    return sample.replays


def test_an_event_that_counted_twice_is_a_conflict_once_match_has_settled_it(
    database: str, processes: Processes, traces: TraceReader
) -> None:
    moment = now()
    first = Sent(3, moment - 4 * HOUR, moment - 4 * HOUR, event_id=ONE)
    later = Sent(4, moment, moment, event_id=ONE, metrics={"cpu_temp": 9.0, "vibration_rms": 9.0})
    for sent in (first, later):
        processes.start().add(read([sent]), set())
    assert outcomes(traces, first, later) == [(3, "counted", True), (4, "counted", True)]
    found = [
        Copy(Member(1, "raw/a", sent.offset, moment, "open"), sent.record(), event)
        for sent, event in zip((first, later), read([first, later]), strict=True)
    ]
    with connect_as(database, "match") as connection:
        settle(connection, find_families(found)[0], Limits())
    assert outcomes(traces, first, later) == [(3, "counted", True), (4, "conflict", True)]


def test_a_late_event_is_raw_only_and_keeps_its_id(processes: Processes, traces: TraceReader) -> None:
    moment = now()
    late = Sent(3, moment - 2 * HOUR, moment, event_id=ONE)
    again = replace(late, offset=4, event_time=moment, metrics={"cpu_temp": 9.0, "vibration_rms": 9.0})
    processes.start().add(read([late, again]), set())
    assert outcomes(traces, late, again) == [(3, "late", True), (4, "conflict", False)]
    assert ask(traces, late).devices[PRESS].settled_at == moment


def test_an_event_of_a_clock_ahead_counts_at_its_reception(processes: Processes, traces: TraceReader) -> None:
    moment = now()
    ahead = Sent(3, moment + 2 * HOUR, moment, event_id=ONE)
    retry = replace(ahead, offset=4, received_at=moment + timedelta(seconds=20))
    processes.start().add(read([ahead, retry]), set())
    assert outcomes(traces, ahead, retry) == [(3, "counted", True), (4, "duplicate", True)]
    assert ask(traces, ahead).devices[PRESS].samples[0].effective_time == moment


def test_offsets_are_dealt_with_in_flight_or_passed_over(processes: Processes, traces: TraceReader) -> None:
    moment = now()
    covered = [Sent(offset, moment, moment, device_id="other") for offset in (3, 5)]
    processes.start().add(read(covered), set())
    passed, waiting = (Sent(offset, moment, moment, event_id=ONE) for offset in (4, 6))
    elsewhere = replace(waiting, partition=9)
    assert outcomes(traces, passed, waiting, elsewhere) == [
        (4, "passed_over", False),
        (6, "in_flight", False),
        (6, "in_flight", False),
    ]


def test_a_dropped_sample_is_no_longer_visible_and_a_missing_one_is_unexplained(
    processes: Processes, tables: Tables, traces: TraceReader
) -> None:
    moment = now()
    sent = Sent(3, moment - MINUTE, moment, event_id=ONE)
    processes.start().add(read([sent]), set())
    tables.rows("DELETE FROM sample RETURNING 1")
    assert outcomes(traces, sent) == [(3, "unexplained", False)]
    tables.rows("UPDATE horizon SET floor = %s WHERE store = 'sample' RETURNING 1", moment)
    assert outcomes(traces, sent) == [(3, "counted", False)]


def test_an_event_without_numbers_is_in_no_window(processes: Processes, traces: TraceReader) -> None:
    moment = now()
    sent = Sent(3, moment, moment, event_id=ONE, metrics={"cpu_temp": 1.0, "vibration_rms": 1.0})
    (event,) = read([sent])
    event.metrics.clear()
    processes.start().add([event], set())
    (sample,) = ask(traces, sent).devices[PRESS].samples
    assert (sample.numbers, sample.windows) == (0, ())


def test_ids_that_are_no_uuids_are_looked_for_under_the_key_they_are_kept_under(
    processes: Processes, tables: Tables, traces: TraceReader
) -> None:
    moment = now()
    (event,) = read([Sent(3, moment, moment, event_id=ONE)])
    processes.start().add([event], set())
    tables.rows("UPDATE sample SET event_key = %s RETURNING 1", uuid.UUID(bytes=event_key("' OR 1=1 --")))
    assert ask(traces, event_id="' OR 1=1 --").devices[PRESS].samples
    assert not ask(traces).devices[PRESS].samples


def test_a_device_that_never_sent_anything_has_nothing(traces: TraceReader) -> None:
    found = traces.read(ONE, [("demo", "unknown"), ("demo", "'; DROP TABLE sample --")], [])
    assert [(one.samples, one.settled_at) for one in found.devices.values()] == [((), None), ((), None)]
    assert found.kept_from is None


def test_the_sample_is_looked_up_and_no_partition_is_read(database: str) -> None:
    with psycopg.connect(database, user="sluice_trace") as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT * FROM sample WHERE entity_key = 1 AND event_key = %s::uuid", (ONE,)
        ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "_pkey" in text
    assert "Seq Scan" not in text


def test_an_event_is_found_with_the_incident_that_it_caused_and_the_messages_about_it(
    database: str, processes: Processes, tables: Tables, traces: TraceReader
) -> None:
    moment = now()
    sent = Sent(7, moment, moment, event_id=ONE)
    processes.start().add(read([sent]), set())
    alert = Alert(database)
    fired = msgspec.structs.replace(reading(7, "breach"), event_id=ONE, correlation_id="c-7")
    with closing(alert):
        alert.take(verdict([fired], PRESS[1], fleet_id=PRESS[0]))
        # Another device joins it, and a reading of the same device adds nothing.
        alert.take(verdict([reading(8, "breach")], "press-2", fleet_id=PRESS[0]))
        alert.take(verdict([reading(9, "breach")], PRESS[1], fleet_id=PRESS[0]))
        alert.take(verdict([fired], PRESS[1], fleet_id="another"))
    ((incident_id, written),) = tables.rows(
        "SELECT incident_id, written_at FROM alert_message JOIN incident USING (incident_id) WHERE fleet_id = 'demo'"
    )
    for attempt, outcome in enumerate(("failed", "delivered"), 1):
        row = (incident_id, attempt, outcome, written)
        tables.rows("INSERT INTO delivery VALUES (%s, 1, 'ops', %s, %s, 204, '', %s, 0.1) RETURNING 1", *row)
    (event,) = trace(traces, sent).events
    assert event.incidents is not None
    (incident,) = event.incidents
    assert (incident.incident_id, incident.rule_id, incident.state) == (incident_id, "hot", "open")
    assert (incident.correlation_id, incident.joined_at) == ("c-7", fired.at)
    (message,) = incident.messages
    assert (message.sequence, message.happening, message.correlation_id) == (1, "opened", "c-7")
    assert [(one.destination_id, one.attempt, one.outcome, one.status) for one in message.attempts or ()] == [
        ("ops", 1, "failed", 204),
        ("ops", 2, "delivered", 204),
    ]
    (shown,) = leave_attempts_out(incident).messages
    assert (shown.correlation_id, shown.attempts) == ("c-7", None)
    assert ask(traces, sent, event_id=str(uuid.UUID(int=2))).incidents == {}


def test_incidents_that_take_too_long_take_nothing_else_away(
    processes: Processes, traces: TraceReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise Retryable("it took too long")

    monkeypatch.setattr("sluice.edge.trace.traces.read_incidents", fail)
    moment = now()
    sent = Sent(7, moment, moment, event_id=ONE)
    processes.start().add(read([sent]), set())
    (event,) = trace(traces, sent).events
    assert event.samples
    assert event.incidents is None


def test_an_incident_of_a_batch_that_is_delivered_again_is_found_once(database: str, traces: TraceReader) -> None:
    alert = Alert(database)
    with closing(alert):
        for _ in range(2):
            alert.take(verdict(readings("b"), PRESS[1], fleet_id=PRESS[0]))
    ((incident,),) = (traces.read("event-0", [PRESS], ()).incidents or {}).values()
    assert (incident.correlation_id, len(incident.messages)) == ("c-1", 1)
