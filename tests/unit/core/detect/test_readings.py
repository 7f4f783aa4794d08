"""What detect reads of an event: what aggregate reads, and nothing of an event of another time."""

from datetime import timedelta

import pytest

from sluice.core.detect.readings import read_readings
from sluice.core.errors import Ahead, Poison
from sluice.core.events.envelope import HEADER, REDRIVEN, Envelope, write_envelope
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.samples.events import read_event
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL, parse_time
from tests.support import samples

SENT = parse_time(samples.read("telemetry-v2.json")["timestamp"])
NOW = SENT + timedelta(seconds=2)
SAMPLES = [
    ("telemetry-v1.json", "telemetry", 1),
    ("telemetry-v2.json", "telemetry", 2),
    ("telemetry-v3.json", "telemetry", 3),
    ("reading-v1.json", "reading", 1),
    ("reading-v2.json", "reading", 2),
]


def record(
    value: bytes, contract: str = "telemetry", version: int = 2, flags: tuple[str, ...] = (), received: float = 1
) -> KafkaRecord:
    envelope = Envelope(1, SENT + timedelta(seconds=received), "demo", contract, version, flags, "c-1")
    return KafkaRecord(Origin("raw-events", 4, 7), value, {HEADER: write_envelope(envelope)})


@pytest.mark.parametrize(("name", "contract", "version"), SAMPLES, ids=str)
def test_readings_are_those_that_aggregate_counts(name: str, contract: str, version: int) -> None:
    sent = samples.read(name)
    at = parse_time(sent.get("timestamp") or sent["event_time"])
    one = record(samples.read_bytes(name), contract, version, received=(at - SENT).total_seconds() + 1)
    now = at + timedelta(seconds=2)
    found = read_readings(one, samples.contracts(), Limits(), now)
    event = read_event(one, samples.contracts(), Limits(), now)
    assert found is not None
    assert found.metrics == event.metrics
    assert (found.fleet_id, found.device_id, found.at) == (event.fleet_id, event.device_id, event.effective_time)
    assert (found.received_at, found.firmware, found.origin) == (event.received_at, event.firmware, event.origin)


def test_undeclared_metrics_are_not_judged() -> None:
    sent = samples.read("telemetry-v2.json")
    sent["metrics"]["nobody_declared_it"] = 7
    found = read_readings(record(samples.encode(sent)), samples.contracts(), Limits(), NOW)
    assert found is not None
    assert found.metrics.keys() == samples.read("telemetry-v2.json")["metrics"].keys()


@pytest.mark.parametrize("flag", [REDRIVEN, CLOCK_AHEAD, LATE_ARRIVAL])
def test_redriven_events_late_ones_and_those_of_a_clock_ahead_are_never_judged(flag: str) -> None:
    one = record(samples.read_bytes("telemetry-v2.json"), flags=(flag,))
    assert read_readings(one, samples.contracts(), Limits(), NOW) is None


@pytest.mark.parametrize("received", [3601, -301], ids=["late", "ahead"])
def test_the_times_count_even_if_no_flag_says_so(received: float) -> None:
    one = record(samples.read_bytes("telemetry-v2.json"), received=received)
    now = SENT + timedelta(hours=2)
    assert read_readings(one, samples.contracts(), Limits(), now) is None
    assert read_readings(record(samples.read_bytes("telemetry-v2.json")), samples.contracts(), Limits(), now)


def test_activities_have_no_readings() -> None:
    one = record(samples.read_bytes("activity-v1.json"), "activity", 1)
    assert read_readings(one, samples.contracts(), Limits(), NOW) is None


@pytest.mark.parametrize("value", [b"\x00", b"{}", b"[]", b'{"metrics": {"cpu_temp": "hot"}}', b"[" * 5000])
def test_what_cannot_be_read_is_poison(value: bytes) -> None:
    with pytest.raises(Poison):
        read_readings(record(value), samples.contracts(), Limits(), NOW)


def test_what_a_newer_release_wrote_is_ahead() -> None:
    with pytest.raises(Ahead):
        read_readings(record(b"{}", version=99), samples.contracts(), Limits(), NOW)
    sent = samples.read("reading-v2.json") | {"sensor_type": "gamma_rays"}
    with pytest.raises(Ahead):
        read_readings(record(samples.encode(sent), "reading", 2), samples.contracts(), Limits(), NOW)
