"""A batch takes effect on the database once, with any retries and in any order."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import psycopg
import pytest

from sluice.core.errors import Retryable
from sluice.core.samples.shards import shard_of
from sluice.edge.samples.numbering import UnitChangedError
from tests.database.aggregating import Processes, Sent, Tables, now, read

MINUTE = timedelta(minutes=1)
ONE, TWO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


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


def minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def test_an_event_becomes_a_sample_a_marker_for_its_shard_one_for_its_fleet_and_a_covered_offset(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    sent = Sent(7, moment - MINUTE, moment, event_id=ONE)
    effect = processes.start().add(read([sent]), set())
    assert [event.origin.offset for event in effect.events] == [7]
    assert tables.samples() == [
        ("press-0001", uuid.UUID(ONE), sent.event_time, (("cpu_temp", 40.0), ("vibration_rms", 2.0)))
    ]
    assert tables.markers() == {
        (shard_of("demo", "press-0001"), minute(sent.event_time), None),
        (shard_of("demo", None), minute(sent.event_time), "fleet"),
    }
    assert tables.outcomes() == {"counted": 1}
    assert tables.covered() == {0: [(7, 8)]}
    assert tables.rows("SELECT received_until FROM coverage") == [(moment,)]


def test_a_batch_that_is_retried_whole_or_in_part_changes_nothing(processes: Processes, tables: Tables) -> None:
    moment = now()
    batch = [Sent(offset, moment, moment) for offset in range(5)]
    writer, other = processes.start(), processes.start()
    writer.add(read(batch[:3]), set())
    before = tables.samples(), tables.outcomes(), tables.rows("SELECT * FROM dirty")
    assert writer.add(read(batch[:3]), set()).events == []
    assert other.add(read(batch[1:2]), set()).events == []
    assert (tables.samples(), tables.outcomes(), tables.rows("SELECT * FROM dirty")) == before
    assert [event.origin.offset for event in other.add(read(batch), set()).events] == [3, 4]
    assert tables.outcomes() == {"counted": 5}


def test_the_first_of_two_events_under_one_id_wins_within_a_batch_and_across(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    first = Sent(0, moment, moment, event_id=ONE, metrics={"cpu_temp": 1.0, "vibration_rms": 1.0})
    again = replace(first, offset=1, metrics={"cpu_temp": 2.0, "vibration_rms": 2.0})
    changed = replace(again, offset=2, event_time=moment - MINUTE, received_at=moment + 58 * MINUTE)
    writer = processes.start()
    writer.add(read([first, again]), set())
    writer.add(read([changed]), set())
    assert [readings for *_, readings in tables.samples()] == [(("cpu_temp", 1.0), ("vibration_rms", 1.0))]
    assert tables.outcomes() == {"counted": 1, "duplicate": 2}


def test_other_devices_and_fleets_may_use_the_same_id(processes: Processes, tables: Tables) -> None:
    moment = now()
    sent = Sent(0, moment, moment, event_id=ONE)
    batch = [sent, replace(sent, offset=1, device_id="press-0002"), replace(sent, offset=2, fleet_id="other")]
    assert processes.start().add(read(batch), set()).count("counted") == 3
    assert len(tables.samples("other")) == 1


def test_an_event_of_a_clock_ahead_counts_when_it_was_received_however_often_it_comes(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    ahead = Sent(0, moment + 20 * MINUTE, moment, event_id=ONE)
    less = replace(ahead, offset=1, received_at=moment + 10 * MINUTE)
    no_more = replace(ahead, offset=2, received_at=moment + 21 * MINUTE)
    writer = processes.start()
    for sent in (ahead, less, no_more):
        writer.add(read([sent]), set())
    assert [time for _, _, time, _ in tables.samples()] == [moment]
    assert tables.outcomes() == {"counted": 1, "duplicate": 2}


def test_a_clock_hours_ahead_is_remembered_for_longer_than_its_sample_is_looked_for(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    ahead = Sent(0, moment + 300 * MINUTE, moment, event_id=ONE)
    writer = processes.start()
    writer.add(read([ahead]), set())
    writer.add(read([replace(ahead, offset=1, received_at=moment + 301 * MINUTE)]), set())
    assert tables.outcomes() == {"counted": 1, "duplicate": 1}


def test_a_late_event_is_counted_as_late_and_brings_no_sample(processes: Processes, tables: Tables) -> None:
    moment = now()
    processes.start().add(read([Sent(0, moment - 61 * MINUTE, moment)]), set())
    assert (tables.samples(), tables.markers()) == ([], set())
    assert tables.outcomes() == {"late": 1}
    assert tables.covered() == {0: [(0, 1)]}


def test_what_lies_where_samples_are_no_longer_kept_is_late(processes: Processes, tables: Tables) -> None:
    moment = now()
    tables.rows("UPDATE horizon SET floor = %s WHERE store = 'sample' RETURNING floor", moment - MINUTE)
    processes.start().add(read([Sent(0, moment - 2 * MINUTE, moment), Sent(1, moment, moment)]), set())
    assert tables.outcomes() == {"late": 1, "counted": 1}


def test_a_minute_that_its_shard_has_closed_is_marked_for_the_straggler_alone_and_for_the_fleet(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    shard, closed = shard_of("demo", "press-0001"), minute(moment - MINUTE)
    tables.rows("UPDATE shard SET closed_until = %s WHERE shard = %s RETURNING shard", closed, shard)
    batch = [Sent(0, moment - 2 * MINUTE, moment), Sent(1, moment - MINUTE, moment)]
    processes.start().add(read(batch), set())
    assert tables.markers() == {
        (shard, minute(moment - 2 * MINUTE), "press-0001"),
        (shard, closed, None),
        (shard_of("demo", None), minute(moment - 2 * MINUTE), "fleet"),
        (shard_of("demo", None), closed, "fleet"),
    }


def test_a_duplicate_marks_nothing(processes: Processes, tables: Tables) -> None:
    moment = now()
    writer = processes.start()
    writer.add(read([Sent(0, moment, moment, event_id=ONE)]), set())
    marked = tables.rows("SELECT count(*) FROM dirty")
    writer.add(read([Sent(1, moment, moment, event_id=ONE)]), set())
    assert tables.rows("SELECT count(*) FROM dirty") == marked


def test_a_marker_is_added_beside_one_that_is_there(processes: Processes, tables: Tables) -> None:
    # The roller may be deleting that marker just then. A window that relied on it would never be rolled.
    moment = now()
    writer = processes.start()
    writer.add(read([Sent(0, moment, moment, event_id=ONE)]), set())
    ((marked,),) = tables.rows("SELECT count(*) FROM dirty")
    writer.add(read([Sent(1, moment, moment, event_id=TWO)]), set())
    assert tables.rows("SELECT count(*) FROM dirty") == [(2 * marked,)]


def test_a_missing_partition_is_made(processes: Processes, tables: Tables) -> None:
    moment = now() - timedelta(days=3)
    effect = processes.start().add(read([Sent(0, moment, moment), Sent(1, now(), now())]), set())
    assert effect.count("counted") == 2
    assert len(tables.samples()) == 2


def test_a_suspicion_alone_loses_no_event_and_a_right_one_still_finds_the_duplicate(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    writer = processes.start()
    new = read([Sent(offset, moment, moment) for offset in range(20)])
    assert writer.add(new, {event.origin for event in new}).count("counted") == 20
    again = read([Sent(20, moment, moment, event_id=str(uuid.UUID(bytes=new[3].key))), Sent(21, moment, moment)])
    effect = writer.add(again, {event.origin for event in again})
    assert (effect.count("counted"), effect.count("duplicate")) == (1, 1)
    assert len(tables.samples()) == 21


def test_an_event_without_declared_metrics_is_a_sample_all_the_same(processes: Processes, tables: Tables) -> None:
    moment = now()
    events = [msgspec.structs.replace(event, metrics={}) for event in read([Sent(0, moment, moment)])]
    processes.start().add(events, set())
    assert [readings for *_, readings in tables.samples()] == [()]


def test_fields_no_contract_names_are_listed_with_their_version_and_how_many_events_had_them(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    extra = {"cpu_temp": 1.0, "vibration_rms": 1.0, "novelty": 3.0}
    writer = processes.start()
    batch = read([Sent(offset, moment, moment, metrics=extra) for offset in range(3)])
    writer.add(batch, set())
    writer.add(batch, set())
    listed = (
        "SELECT fleet_id, contract, schema_version, field, sum(events)::integer FROM unknown_field GROUP BY 1, 2, 3, 4"
    )
    assert tables.rows(listed) == [("demo", "telemetry", 3, "metrics.novelty", 3)]
    assert {name for *_, readings in tables.samples() for name, _ in readings} == {"cpu_temp", "vibration_rms"}


def test_what_a_device_reports_under_is_written_down_seldom_and_never_backwards(
    processes: Processes, tables: Tables
) -> None:
    moment = now() - timedelta(hours=1)
    writer, other, third = processes.start(), processes.start(), processes.start()
    sightings = "SELECT firmware, first_seen_at, last_seen_at FROM sighting ORDER BY firmware"
    for offset, (by, when) in enumerate([(writer, 5), (writer, 6), (other, 7), (writer, 20), (third, 3)]):
        received = moment + when * MINUTE
        by.add(read([Sent(offset, received, received)]), set())
    assert tables.rows(sightings) == [("3.0.2", moment + 3 * MINUTE, moment + 20 * MINUTE)]
    writer.add(
        read([Sent(9, moment, moment, version=2, metrics={"cpu_temp": 1, "vibration_rms": 1, "supply_voltage": 1})]),
        set(),
    )
    assert [firmware for firmware, _, _ in tables.rows(sightings)] == ["2.4.1", "3.0.2"]


def test_a_series_declared_in_another_unit_than_it_is_kept_in_stops_the_consumer(
    processes: Processes, tables: Tables
) -> None:
    tables.rows("INSERT INTO metric (name, unit) VALUES ('cpu_temp', 'K') RETURNING 1")
    with pytest.raises(UnitChangedError, match="cpu_temp is kept in K"):
        processes.start().add(read([Sent(0, now(), now())]), set())
    assert tables.covered() == {}


def test_numbers_are_asked_for_again_behind_a_new_connection(processes: Processes, tables: Tables) -> None:
    """A restored database may have given the number we remember to another entity."""
    moment = now()
    writer = processes.start()
    writer.add(read([Sent(0, moment, moment)]), set())
    tables.connection.execute("TRUNCATE entity, sample RESTART IDENTITY")
    tables.rows("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('other', 'x', 1) RETURNING entity_key")
    throw_out(tables)
    with pytest.raises(Retryable):
        writer.add(read([Sent(1, moment, moment)]), set())
    writer.add(read([Sent(1, moment, moment)]), set())
    assert [device for device, *_ in tables.samples()] == ["press-0001"]


def throw_out(tables: Tables) -> None:
    """End every connection of aggregate, and wait until they are gone."""
    theirs = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'sluice_aggregate'"
    tables.rows(theirs)


def test_a_server_that_freezes_is_waited_for_no_longer_than_agreed(processes: Processes, tables: Tables) -> None:
    moment = now()
    writer = processes.start(seconds=0.5)
    writer.add(read([Sent(0, moment, moment)]), set())
    ((pid,),) = tables.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'sluice_aggregate'")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Retryable):
            writer.add(read([Sent(1, moment, moment)]), set())
    finally:
        os.kill(pid, signal.SIGCONT)
    assert writer.add(read([Sent(1, moment, moment)]), set()).count("counted") == 1


def test_a_question_tells_within_a_second_whether_the_database_is_away(processes: Processes, tables: Tables) -> None:
    writer = processes.start(seconds=60)
    writer.ask()
    ((pid,),) = tables.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'sluice_aggregate'")
    os.kill(pid, signal.SIGSTOP)
    asked = time.monotonic()
    try:
        with pytest.raises(Retryable):
            writer.ask()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - asked < 10
    writer.ask()


def test_another_holder_of_the_ledgers_row_is_waited_for_no_longer_than_agreed(
    database: str, processes: Processes
) -> None:
    moment = now()
    writer = processes.start(seconds=0.5)
    writer.add(read([Sent(0, moment, moment)]), set())
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM coverage FOR UPDATE")
        with pytest.raises(Retryable):
            writer.add(read([Sent(1, moment, moment)]), set())
    assert writer.add(read([Sent(1, moment, moment)]), set()).count("counted") == 1


@pytest.mark.shows_fault(part="PostgreSQL", fault="locks in opposite order", expected="no deadlock")
def test_batches_of_many_processes_that_concern_the_same_fleets_do_not_hold_each_other_up_for_ever(
    processes: Processes, tables: Tables
) -> None:
    moment = now()
    rounds, partitions, size = 6, 4, 60

    def work(partition: int, failures: list[BaseException]) -> None:
        writer = processes.start()
        try:
            for turn in range(rounds):
                batch = [
                    Sent(
                        turn * size + number,
                        moment,
                        moment,
                        # Each batch has its devices in another order, and the same ids as the other partitions have.
                        device_id=f"press-{(number * 7 + partition * 13 + turn) % size:04d}",
                        event_id=str(uuid.UUID(int=turn)),
                        partition=partition,
                    )
                    for number in range(size)
                ]
                writer.add(read(batch), set())
        except BaseException as error:  # noqa: BLE001 - told by the test below
            failures.append(error)

    failures: list[BaseException] = []
    threads = [threading.Thread(target=work, args=(number, failures)) for number in range(partitions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(tables.samples()) == rounds * size
    assert tables.outcomes() == {"counted": rounds * size, "duplicate": (partitions - 1) * rounds * size}
    assert tables.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
