"""The probe's event keeps its contract, and its answers are read strictly: what is unclear is no success."""

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from sluice.core.ingest.judge import Accepted, judge
from sluice.core.probe.event import FLEET, METRIC, STEPS, is_accepted, is_readable, make_event
from tests.support import samples

NOW = datetime(2026, 11, 30, 12, 0, 7, 123456, tzinfo=UTC)
EVENT = make_event(uuid.UUID(int=7), NOW)
ACCEPTED = b'{"results":[{"event_id":"7","status":"accepted"}]}'


def test_its_contract_admits_it() -> None:
    verdict = judge(EVENT.write(), "telemetry", FLEET, samples.request(received_at=NOW), samples.rules())
    assert isinstance(verdict, Accepted), verdict
    assert EVENT.correlation_id == f"probe-{uuid.UUID(int=7)}"


def test_a_sensor_that_hangs_looks_otherwise() -> None:
    minutes = (make_event(uuid.uuid4(), NOW + number * timedelta(minutes=1)).write() for number in range(STEPS))
    assert len({msgspec.json.decode(body)["metrics"][METRIC] for body in minutes}) == STEPS


@pytest.mark.parametrize(
    ("status", "body", "accepted"),
    [
        (202, ACCEPTED, True),
        (202, ACCEPTED.replace(b"accepted", b"retry"), False),
        (202, b'{"results":[]}', False),
        (202, b"<html>", False),
        (400, ACCEPTED, False),
        (503, b"", False),
    ],
)
def test_only_what_ingest_stored_is_accepted(status: int, body: bytes, accepted: bool) -> None:
    assert is_accepted(status, body) == accepted


def recent(*moments: str) -> bytes:
    points = [[moment, 41.0] for moment in moments]
    series = {"device_id": "probe-1", "metric": METRIC, "unit": "degC", "points": points}
    return msgspec.json.encode({"items": [series], "next_cursor": None})


@pytest.mark.parametrize(
    ("status", "body", "readable"),
    [
        (200, recent("2026-11-30T11:59:07.123456Z", "2026-11-30T12:00:07.123456Z"), True),
        (200, recent("2026-11-30T11:59:07.123456Z"), False),
        (200, b'{"items":[]}', False),
        (200, b"[]", False),
        (404, b'{"code":"device_unknown"}', False),
        (503, recent("2026-11-30T12:00:07.123456Z"), False),
    ],
)
def test_an_event_is_readable_when_its_own_sample_is_there(status: int, body: bytes, readable: bool) -> None:
    assert is_readable(EVENT, status, body) == readable
