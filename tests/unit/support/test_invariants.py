"""The checker finds every kind of fault that its test on a real stack does not make.

`tests/faults/test_checker.py` deletes, alters and doubles one stored row in each store. Here is the rest: events
that were never stored or never sent, counts that disagree, and cases without a fault.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest

from cli.simulation.client import Ledger, digest
from cli.simulation.devices import EVENTS, Fleet, Sent
from tests.support.invariants import UnbalancedError, balance, find_faults, find_told_twice
from tests.support.recomputation import Numbers, RawEvent, Rollup, percentile, recompute
from tests.support.stores import Delivered, Letter, Place, Record, Row, Sample, Snapshot, Told

NOW = datetime(2026, 11, 27, 12, 0, 30, tzinfo=UTC)
BAD = Sent(EVENTS, b'{"event_id": "bad"}', "invalid")


def world(count: int = 6) -> tuple[Ledger, Snapshot]:
    """Make accepted events (archive gave up one), a rejected one, and stores that hold all of it."""
    fleet = Fleet(3, 4, lambda: NOW - timedelta(minutes=5))
    sent = [fleet.good_event() for _ in range(count)]
    ledger = Ledger()
    results = [{"status": "accepted"}] * count + [{"status": "rejected"}]
    ledger.write([*sent, BAD], 207, {"results": results})
    events = [
        RawEvent(
            "demo",
            json.loads(one.body)["device_id"],
            json.loads(one.body)["event_id"],
            "telemetry",
            int(json.loads(one.body)["device_firmware_version"][0]),
            NOW,
            (),
            one.body.decode(),
            index % 2,
            index // 2,
        )
        for index, one in enumerate(sent)
    ]
    records = [Record(Place(one.kafka_partition, one.kafka_offset), digest(one.event.encode()), one) for one in events]
    given_up = events[-1]
    letters = [
        letter("ingest", BAD.body, fleet_id="demo"),
        letter("archive", given_up.event.encode(), event_id=given_up.event_id, **place_of(given_up)),
    ]
    windows = recompute(events)
    return ledger, Snapshot(
        records=records,
        rows=[Row(one, digest(one.event.encode())) for one in events[:-1]],
        letters=letters,
        letters_sent=[(Place(0, index), one) for index, one in enumerate(letters)],
        samples=[Sample("demo", one.device_id, UUID(one.event_id), one.counts_at, one.readings) for one in events],
        outcomes={("demo", "counted"): count},
        covered={0: [(0, (count + 1) // 2)], 1: [(0, count // 2)]},
        lacking={},
        numbers=Numbers(NOW, [(window, rollup(window.metric, held)) for window, held in windows.items()]),
    )


def letter(consumer: str, body: bytes, **more: object) -> Letter:
    named = [str(more.get(name) or "").encode() for name in ("fleet_id", "event_id")]
    letter_id = sha256(b"\0".join([*named, sha256(body).digest()])).hexdigest()
    fields = {"letter_id": letter_id, "consumer": consumer, "event": body.decode(), "event_size": len(body)}
    return Letter({**fields, "failed_at": "2026-11-27T12:00:31.000000Z", **more})


def place_of(event: RawEvent) -> dict[str, object]:
    return {
        "kafka_topic": "raw-events",
        "kafka_partition": event.kafka_partition,
        "kafka_offset": event.kafka_offset,
    }


UNITS = {
    "cpu_temp": "degC",
    "vibration_rms": "mm/s",
    "supply_voltage": "V",
    "humidity": "%RH",
    "motor_current": "A",
    "bearing_temp": "degC",
}


def rollup(metric: str, held: list[float]) -> Rollup:
    p50, p95 = (percentile(held, share, None)[0] for share in (0.5, 0.95))
    return Rollup(UNITS[metric], len(held), sum(held) / len(held), held[0], held[-1], p50, p95, sum(held))


def without_row(one: Snapshot) -> Snapshot:
    return replace(one, rows=one.rows[1:])


def row_of_another_device(one: Snapshot) -> Snapshot:
    return replace(one, rows=[replace(one.rows[0], event=replace(one.rows[0].event, device_id="x")), *one.rows[1:]])


def event_of(record: Record) -> RawEvent:
    assert record.event is not None
    return record.event


def without_record(one: Snapshot) -> Snapshot:
    return replace(one, records=one.records[1:])


def record_twice(one: Snapshot) -> Snapshot:
    return replace(
        one, records=[*one.records, replace(one.records[0], place=Place(0, 3))], covered={0: [(0, 4)], 1: [(0, 3)]}
    )


def rejected_record(one: Snapshot) -> Snapshot:
    bad = Record(Place(0, 3), digest(BAD.body), None)
    return replace(one, records=[*one.records, bad], covered={0: [(0, 4)], 1: [(0, 3)]})


def invented_record(one: Snapshot) -> Snapshot:
    return replace(one, records=[*one.records, Record(Place(0, 3), digest(b"invented"), None)])


def without_letter(one: Snapshot) -> Snapshot:
    return replace(one, letters=one.letters[1:])


def without_letter_of_archive(one: Snapshot) -> Snapshot:
    return replace(one, letters=one.letters[:1])


def letter_with_another_reason(one: Snapshot) -> Snapshot:
    return replace(one, letters=[Letter({**one.letters[0].fields, "reason": "another"}), *one.letters[1:]])


def letter_elsewhere(one: Snapshot) -> Snapshot:
    return replace(one, letters=[*one.letters, Letter({**one.letters[1].fields, "kafka_offset": 99})])


def invented_letter(one: Snapshot) -> Snapshot:
    return replace(one, letters=[*one.letters, letter("ingest", b"{}")])


def letter_of_the_accepted(one: Snapshot) -> Snapshot:
    return replace(one, letters=[*one.letters, letter("ingest", event_of(one.records[0]).event.encode())])


def invented_sample(one: Snapshot) -> Snapshot:
    return replace(one, samples=[*one.samples, replace(one.samples[0], key=UUID(int=1))])


def uncovered(one: Snapshot) -> Snapshot:
    return replace(one, covered={0: [(0, 1), (2, 3)], 1: [(0, 3)]})


def miscounted(one: Snapshot) -> Snapshot:
    return replace(one, outcomes={("demo", "counted"): 5, ("demo", "duplicate"): 1})


def test_stores_that_hold_what_was_accepted_have_no_faults() -> None:
    ledger, snapshot = world()
    assert find_faults(ledger, snapshot) == []
    found = balance(ledger, snapshot)
    assert (found.stored, found.archived, found.copies, found.counted) == (6, 5, 0, 6)
    assert found.dead_lettered == {"archive": 1, "aggregate": 0}


def test_a_row_delivered_twice_from_the_same_place_is_a_copy_and_no_fault() -> None:
    ledger, snapshot = world()
    assert balance(ledger, replace(snapshot, rows=[*snapshot.rows, snapshot.rows[0]])).copies == 1


def test_a_row_beside_a_dead_letter_is_a_fault_unless_its_record_may_have_ended_the_process() -> None:
    ledger, snapshot = world()
    record = snapshot.records[-1]
    both = replace(snapshot, rows=[*snapshot.rows, Row(event_of(record), record.sha256)])
    (fault,) = find_faults(ledger, both)
    assert fault.startswith("archived and dead-lettered by archive")
    assert find_faults(ledger, both, killers=[record.place]) == []


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (row_of_another_device, "archived as what it is not"),
        (without_record, "accepted 1 times, stored 0 times"),
        (record_twice, "accepted 1 and unknown 0 times, stored 2 times"),
        (rejected_record, "rejected but stored"),
        (invented_record, "stored but never sent"),
        (without_letter, "a dead letter was written"),
        (without_letter_of_archive, "neither archived nor dead-lettered by archive"),
        (letter_with_another_reason, "a dead letter was written"),
        (letter_elsewhere, "of no record"),
        (invented_letter, "a dead letter of what was never sent"),
        (letter_of_the_accepted, "accepted and dead-lettered by ingest"),
        (invented_sample, "counted and never to be"),
        (uncovered, "not dealt with by aggregate"),
        (miscounted, "5 records are said to be counted, and 6 are"),
    ],
)
def test_every_other_kind_of_fault_is_found(break_it: Callable[[Snapshot], Snapshot], says: str) -> None:
    ledger, snapshot = world()
    faults = find_faults(ledger, break_it(snapshot))
    assert any(says in fault for fault in faults), faults


def test_what_is_missing_is_named_by_its_id() -> None:
    ledger, snapshot = world()
    event_id = snapshot.rows[0].event.event_id
    with pytest.raises(UnbalancedError, match=event_id):
        balance(ledger, without_row(snapshot))


def test_what_was_unknown_may_be_stored_once_and_no_more() -> None:
    ledger, snapshot = world()
    sent = Sent(EVENTS, event_of(snapshot.records[0]).event.encode(), "telemetry")
    ledger.write([sent], 429, {"code": "not_stored", "results": [{"status": "retry"}]})
    again = record_twice(snapshot)
    duplicate = replace(again, outcomes={("demo", "counted"): 6, ("demo", "duplicate"): 1})
    copy = replace(duplicate.rows[0], event=replace(duplicate.rows[0].event, kafka_offset=3))
    second = replace(event_of(again.records[-1]), kafka_offset=3)
    records = [*again.records[:-1], replace(again.records[-1], event=second)]
    twice = replace(duplicate, records=records, rows=[*duplicate.rows, copy])
    assert find_faults(ledger, twice) == []
    thrice = replace(twice, records=[*records, replace(records[-1], place=Place(0, 4))])
    assert any("stored 3 times" in fault for fault in find_faults(ledger, thrice))


def test_it_shares_no_code_with_the_pipeline() -> None:
    script = (
        "import sys; sys.path[:0] = ['.', 'layers/sluice/python']; import tests.support.invariants;"
        "print([name for name in sys.modules if name.split('.')[0] in ('sluice', 'functions', 'infra')])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


ID = "ab" * 12


@pytest.mark.parametrize(
    ("happenings", "fault"),
    [
        (["opened", "escalated", "acknowledged", "updated", "resolved", "updated", "resolved"], None),
        (["silence_ended", "resolved"], None),
        (["resolved"], "is told as"),
        (["opened", "resolved", "resolved"], "is told as"),
        (["opened", "opened"], "twice that it opened"),
    ],
)
def test_what_is_told_of_an_incident_is_told_once(happenings: list[str], fault: str | None) -> None:
    told = [Told(ID, number, each) for number, each in enumerate(happenings, 1)]
    found = list(find_told_twice(told, [Delivered(ID, 1, "ops"), Delivered(ID, 1, "other")]))
    assert [fault in each for each in found if fault] == ([True] if fault else [])
    assert bool(found) == bool(fault)


def test_a_gap_in_what_is_told_and_a_message_taken_twice_are_found() -> None:
    gap = find_told_twice([Told(ID, 1, "opened"), Told(ID, 3, "resolved")], ())
    assert "numbers [1, 3]" in next(gap)
    twice = find_told_twice((), [Delivered(ID, 2, "ops")] * 2)
    assert next(twice).endswith("ops took message 2 2 times")
