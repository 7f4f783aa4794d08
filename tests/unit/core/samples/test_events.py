from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from sluice.core.errors import Ahead, Poison
from sluice.core.events.envelope import HEADER, Envelope, write_envelope
from sluice.core.ledger.groups import LedgerGroup, hour_of
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.samples.events import (
    MAX_UNDECLARED,
    OTHERS,
    Event,
    count_undeclared,
    first_of_each,
    lookback,
    put_down,
    read_event,
)
from sluice.core.times import write_time
from tests.support import samples

MINUTE = timedelta(minutes=1)


def record(
    document: dict[str, Any],
    contract: str = "telemetry",
    received_at: datetime = samples.NOW,
    flags: tuple[str, ...] = (),
    offset: int = 0,
) -> KafkaRecord:
    envelope = Envelope(1, received_at, "demo", contract, 1, flags, "test")
    origin = Origin("raw-events", 0, offset)
    return KafkaRecord(origin, samples.encode(document), {HEADER: write_envelope(envelope)})


def read(one: KafkaRecord) -> Event:
    return read_event(one, samples.contracts(), Limits(), samples.NOW)


def telemetry(age: timedelta = timedelta(0), **metrics: float) -> dict[str, Any]:
    document: dict[str, Any] = samples.read("telemetry-v1.json")
    return document | {"timestamp": write_time(samples.NOW - age), "metrics": document["metrics"] | metrics}


def test_telemetry_brings_the_metrics_its_version_declares_and_lists_the_others() -> None:
    event = read(record(telemetry(novelty=1.0) | {"colour": "red", "diagnostics": {"anything": 1}}))
    assert event.metrics == {"cpu_temp": 48.5, "vibration_rms": 2.31, "supply_voltage": 24.02}
    assert sorted(event.undeclared) == ["colour", "metrics.novelty"]
    assert event.group == LedgerGroup("demo", hour_of(samples.NOW), "telemetry", 1)


def test_a_reading_brings_one_number_in_the_unit_of_its_series() -> None:
    document = samples.read("reading-v1.json") | {"event_time": write_time(samples.NOW)}
    event = read(record(document, "reading"))
    assert event.metrics == {"temperature": pytest.approx(21.5)}
    assert event.undeclared == []


def test_an_activity_is_an_event_without_numbers() -> None:
    document = samples.read("activity-v1.json") | {"timestamp": write_time(samples.NOW)}
    event = read(record(document, "activity"))
    assert (event.metrics, event.event_type, event.firmware) == ({}, "door_opened", "")


@pytest.mark.parametrize(
    ("age", "effective", "late", "ahead"),
    [
        (0 * MINUTE, 0 * MINUTE, False, False),
        (60 * MINUTE, 60 * MINUTE, False, False),
        (60 * MINUTE + timedelta(microseconds=1), 60 * MINUTE + timedelta(microseconds=1), True, False),
        (-5 * MINUTE, -5 * MINUTE, False, False),
        (-5 * MINUTE - timedelta(microseconds=1), 0 * MINUTE, False, True),
    ],
)
def test_an_event_counts_at_its_own_time_unless_its_clock_runs_ahead(
    age: timedelta, effective: timedelta, late: bool, ahead: bool
) -> None:
    event = read(record(telemetry(age)))
    assert (samples.NOW - event.effective_time, event.late, event.ahead) == (effective, late, ahead)


def test_what_was_flagged_when_it_was_accepted_stays_so_when_the_limits_change() -> None:
    assert read(record(telemetry(30 * MINUTE), flags=("late_arrival",))).late
    assert read(record(telemetry(), flags=("clock_ahead",))).ahead


def test_an_event_that_says_it_was_received_in_the_future_is_poison() -> None:
    """One of them would close windows that are still to come."""
    with pytest.raises(Poison, match="yet to come"):
        read(record(telemetry(), received_at=samples.NOW + 6 * MINUTE))


@pytest.mark.parametrize("year", [1, 1970, 2019])
def test_an_event_that_says_it_was_received_before_we_were_there_is_poison(year: int) -> None:
    """The hour before the first of all hours has no value: the search for a duplicate in it would always fail."""
    with pytest.raises(Poison, match="before this pipeline existed"):
        read(record(telemetry(), received_at=datetime(year, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize("fleet_id", ["", "De-mo", "de\0mo", "demo\n", "x" * 64])
def test_a_fleet_that_no_database_of_ours_holds_is_poison(fleet_id: str) -> None:
    envelope = Envelope(1, samples.NOW, fleet_id, "telemetry", 1, (), "test")
    with pytest.raises(Poison):
        read(msgspec.structs.replace(record(telemetry()), headers={HEADER: write_envelope(envelope)}))


def test_a_reception_without_a_zone_is_poison() -> None:
    header = write_envelope(Envelope(1, samples.NOW, "demo", "telemetry", 1, (), "test")).replace(b"Z", b"")
    with pytest.raises(Poison):
        read(msgspec.structs.replace(record(telemetry()), headers={HEADER: header}))


def test_a_record_that_is_put_aside_is_counted_under_what_its_envelope_says_in_any_version() -> None:
    bad = record({}, offset=1)
    known = put_down(bad, Poison("no"), samples.NOW)
    assert (known.origin.offset, known.group, known.ahead) == (
        1,
        LedgerGroup("demo", hour_of(samples.NOW), "telemetry", 1),
        False,
    )
    later = msgspec.structs.replace(bad, headers={HEADER: bad.headers[HEADER].replace(b"[1,", b"[2,", 1)})
    assert put_down(later, Ahead("envelope 2"), samples.NOW) == msgspec.structs.replace(known, ahead=True)
    nameless = msgspec.structs.replace(bad, headers={})
    assert put_down(nameless, Poison("no"), samples.NOW).group.fleet_id == ""


@pytest.mark.parametrize(
    "received_at", [b"0001-01-01T00:00:00+14:00", b"2019-12-31T00:00:00Z", b"2300-01-01T00:00:00Z"]
)
def test_a_record_that_is_put_aside_counts_now_if_its_reception_cannot_be_true(received_at: bytes) -> None:
    header = record({}).headers[HEADER].replace(msgspec.json.encode(samples.NOW), b'"%b"' % received_at)
    put_aside = put_down(msgspec.structs.replace(record({}), headers={HEADER: header}), Poison("no"), samples.NOW)
    assert (put_aside.group.received_hour, put_aside.received_at) == (hour_of(samples.NOW), None)
    assert put_aside.group.fleet_id == "demo"


def test_an_hour_is_one_of_utc() -> None:
    moment = datetime(2026, 11, 20, 9, 40, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert hour_of(moment).isoformat() == "2026-11-20T04:00:00+00:00"


def test_the_first_of_each_identity_is_left_in_the_order_they_came() -> None:
    one = read(record(telemetry(), offset=0))
    changed = msgspec.structs.replace(one, effective_time=samples.NOW - MINUTE, origin=Origin("raw-events", 0, 1))
    other = msgspec.structs.replace(one, device_id="other", origin=Origin("raw-events", 0, 2))
    assert first_of_each([one, changed, other, one]) == [one, other]


def test_a_repetition_is_looked_for_as_far_back_as_its_first_copy_can_lie() -> None:
    assert lookback(Limits()) == timedelta(hours=2, minutes=5)


def named(fields: Sequence[str]) -> Event:
    return msgspec.structs.replace(read(record(telemetry())), undeclared=fields)


def test_undeclared_fields_are_counted_by_events() -> None:
    counts = count_undeclared([named(["a", "b"]), named(["a"]), named([])])
    assert {field: count for (_, field), count in counts.items()} == {"a": 2, "b": 1}


def test_devices_cannot_fill_the_database_with_names_of_their_own() -> None:
    events = [named(["known"]), named(["known"]), *(named([f"field-{number}"]) for number in range(100))]
    events += [named(["x" * 200]), named(["nul\0"])]
    counts = {field: count for (_, field), count in count_undeclared(events).items()}
    assert len(counts) == MAX_UNDECLARED + 1
    assert counts["known"] == 2
    assert sum(counts.values()) == 104
    assert counts[OTHERS] == 104 - 2 - (MAX_UNDECLARED - 1)
