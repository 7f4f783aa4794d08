from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from sluice.core.events.envelope import HEADER, Envelope, read_envelope
from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Accepted, Letterhead, Rejected, Verdict, address, judge
from tests.support import samples


def verdict(slice_: bytes, contract: str = "telemetry") -> Verdict:
    return judge(slice_, contract, "demo", samples.request(), samples.rules())


def accepted(slice_: bytes, contract: str = "telemetry") -> Accepted:
    judged = verdict(slice_, contract)
    assert isinstance(judged, Accepted), judged
    return judged


def envelope_of(judged: Accepted) -> Envelope:
    return read_envelope(dict(judged.message.headers)[HEADER])


def test_an_accepted_event_keeps_its_bytes_its_device_and_what_we_know_of_it() -> None:
    sent = samples.read_bytes("telemetry-v3.json")
    judged = accepted(sent)
    assert (judged.message.topic, judged.message.key, judged.message.value) == ("raw-events", b"pump-0101", sent)
    envelope = envelope_of(judged)
    assert (envelope.fleet_id, envelope.contract, envelope.schema_version) == ("demo", "telemetry", 3)
    assert (envelope.received_at, envelope.correlation_id, envelope.flags) == (samples.NOW, "test-1", ())


def test_the_order_of_an_activitys_source_is_kept() -> None:
    assert accepted(samples.read_bytes("activity-v1.json"), "activity").message.key == b"gate-north"


def test_an_accepted_event_is_named_as_it_was_sent_and_else_as_we_name_it() -> None:
    shouted = samples.read("telemetry-v1.json") | {"event_id": "7B1F0F52-0000-4000-8000-000000000001"}
    assert accepted(samples.encode(shouted)).event_id == shouted["event_id"]
    assert len(accepted(samples.read_bytes("activity-v1.json"), "activity").event_id) == 36


def test_a_reading_that_names_another_region_leaves_only_what_is_said_about_it() -> None:
    sent = samples.encode(samples.read("reading-v2.json") | {"region": "eu-west-1"})
    judged = judge(sent, "reading", "demo", samples.request(), samples.rules(), home="us-east-1")
    assert isinstance(judged, Rejected)
    assert judged.rejection.code == "wrong_region"
    record = address(judged, Letterhead("dead-letter", "demo", "reading", samples.request()))
    letter = msgspec.json.decode(record.value, type=Letter)
    assert (letter.event, letter.event_size, letter.event_id) == (
        "",
        len(sent),
        samples.read("reading-v2.json")["event_id"],
    )
    assert b"value" not in record.value


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        (lambda sent: sent.replace(b"us-east-1", b"eu-west-1").replace(b'"value":', b'"value":1e999,"value":'), False),
        (lambda sent: sent.replace(b"us-east-1", b"eu-west-1")[:-1], False),
        (lambda sent: sent.replace(b'"us-east-1"', b'["eu-west-1"]'), False),
        (lambda sent: sent.replace(b"us-east-1", b"eu-west-1" + b"x" * 200), False),
        (lambda sent: sent.replace(b"us-east-1", b"us-east-1\x00"), False),
        (lambda sent: sent[:-1], True),
        (lambda sent: sent.replace(b'"region": "us-east-1", ', b""), True),
    ],
)
def test_a_reading_with_another_fault_stays_only_if_it_names_no_other_region(
    change: Callable[[bytes], bytes], stays: bool
) -> None:
    sent = change(samples.encode(samples.read("reading-v2.json")))
    judged = judge(sent, "reading", "demo", samples.request(), samples.rules(), home="us-east-1")
    assert isinstance(judged, Rejected)
    assert judged.must_not_stay != stays


@pytest.mark.parametrize("home", [None, "us-east-1"])
def test_a_reading_at_home_and_one_of_a_fleet_without_a_home_are_accepted(home: str | None) -> None:
    sent = samples.read_bytes("reading-v2.json")
    assert isinstance(judge(sent, "reading", "demo", samples.request(), samples.rules(), home), Accepted)


@pytest.mark.parametrize(
    ("offset", "flags"),
    [
        (timedelta(minutes=5), ()),
        (timedelta(minutes=5, microseconds=1), ("clock_ahead",)),
        (timedelta(hours=-1), ()),
        (timedelta(hours=-1, microseconds=-1), ("late_arrival",)),
        (timedelta(days=365 * 1000), ("clock_ahead",)),
    ],
)
def test_early_and_late_events_are_accepted_and_flagged(offset: timedelta, flags: tuple[str, ...]) -> None:
    document = samples.read("telemetry-v1.json") | {"timestamp": (samples.NOW + offset).isoformat()}
    assert envelope_of(accepted(samples.encode(document))).flags == flags


@pytest.mark.parametrize(
    ("slice_", "code"),
    [
        (samples.read_bytes("telemetry-malformed.json"), "malformed_json"),
        (samples.read_bytes("telemetry-unknown-firmware.json"), "unknown_firmware"),
        (samples.read_bytes("telemetry-invalid.json"), "contract_violation"),
        (b"[1]", "not_an_object"),
    ],
)
def test_a_rejected_event_has_its_specific_error_and_keeps_its_bytes(slice_: bytes, code: str) -> None:
    judged = verdict(slice_)
    assert isinstance(judged, Rejected)
    assert (judged.rejection.code, judged.event) == (code, slice_)


def test_a_rejected_event_is_named_by_what_it_says_of_itself() -> None:
    judged = verdict(samples.read_bytes("telemetry-invalid.json"))
    assert isinstance(judged, Rejected)
    assert (judged.unverified.event_id, judged.unverified.device_id) == (
        "7b1f0f52-0000-4000-8000-000000000005",
        "press-0010",
    )
    judged = verdict(b'{"event_id": 7, "device_id": "a\\nb"}')
    assert isinstance(judged, Rejected)
    assert (judged.unverified.event_id, judged.unverified.device_id) == (None, None)
