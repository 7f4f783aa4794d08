from datetime import timedelta

import pytest

from sluice.core.envelope import read_envelope
from sluice.core.judge import Limits, Verdict, judge
from tests import samples


def verdict(slice_: bytes, contract: str = "telemetry") -> Verdict:
    return judge(slice_, contract, "demo", samples.request(), samples.contracts(), Limits())


def test_an_accepted_event_keeps_its_bytes_its_device_and_what_we_know_of_it() -> None:
    sent = samples.read_bytes("telemetry-v3.json")
    record = verdict(sent).record
    assert record is not None
    assert (record.value, record.key) == (sent, b"pump-0101")
    envelope = read_envelope(record.envelope)
    assert (envelope.fleet_id, envelope.contract, envelope.schema_version) == ("demo", "telemetry", 3)
    assert (envelope.received_at, envelope.correlation_id, envelope.flags) == (samples.NOW, "test-1", ())


def test_the_order_of_an_activitys_source_is_kept() -> None:
    record = verdict(samples.read_bytes("activity-v1.json"), "activity").record
    assert record is not None
    assert record.key == b"gate-north"


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
    record = verdict(samples.encode(document)).record
    assert record is not None
    assert read_envelope(record.envelope).flags == flags


@pytest.mark.parametrize(
    ("slice_", "code"),
    [
        (samples.read_bytes("telemetry-malformed.json"), "malformed_json"),
        (samples.read_bytes("telemetry-unknown-firmware.json"), "unknown_firmware"),
        (samples.read_bytes("telemetry-invalid.json"), "contract_violation"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "malformed_json"),
        (b'{"a":1e999}', "malformed_json"),
        (b'{"a":"\\ud800"}', "malformed_json"),
        (b'{"a":"' + b"x" * 32768 + b'"}', "event_too_large"),
    ],
)
def test_a_rejected_event_has_its_specific_error_and_no_record(slice_: bytes, code: str) -> None:
    judged = verdict(slice_)
    assert judged.record is None
    assert judged.rejection is not None
    assert judged.rejection.code == code


def test_a_rejected_event_is_named_by_the_id_it_claims() -> None:
    assert verdict(samples.read_bytes("telemetry-invalid.json")).event_id == "7b1f0f52-0000-4000-8000-000000000005"
    assert verdict(b'{"event_id": 7}').event_id is None
