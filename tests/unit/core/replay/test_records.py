"""A record of replay-events says whose it is, in a form that crosses releases."""

import json

import pytest

from sluice.core.errors import Ahead, Poison
from sluice.core.events.envelope import HEADER as ENVELOPE
from sluice.core.events.envelope import Envelope, read_envelope
from sluice.core.replay.records import HEADER, Replayed, read_replayed, write_record
from tests.support.samples import NOW

REPLAYED = Replayed(1, 7, 47, 2**40)


def test_a_record_carries_the_event_its_envelope_and_its_place_in_raw_events() -> None:
    envelope = Envelope(1, NOW, "demo", "telemetry", 2, ("late_arrival",), "c-1")
    written = write_record("replay-events", "press-1", b'{"a":1}', envelope, REPLAYED)
    assert (written.topic, written.key, written.value) == ("replay-events", b"press-1", b'{"a":1}')
    headers = dict(written.headers)
    assert read_envelope(headers[ENVELOPE]) == envelope
    assert read_replayed(headers[HEADER]) == REPLAYED


def test_what_a_later_release_appends_is_ignored() -> None:
    assert read_replayed(b'[1, 7, 47, 12, "more"]') == Replayed(1, 7, 47, 12)


def test_a_newer_version_is_ahead_and_no_poison() -> None:
    with pytest.raises(Ahead):
        read_replayed(b"[2, 7, 47, 12]")


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"[1, 7, 47]",
        b'["1", 7, 47, 12]',
        json.dumps([1, 0, 47, 12]).encode(),
        json.dumps([1, 2**31, 47, 12]).encode(),
        json.dumps([1, 7, -1, 12]).encode(),
        json.dumps([1, 7, 47, 2**63]).encode(),
    ],
)
def test_what_is_no_header_of_ours_is_poison(header: bytes | None) -> None:
    with pytest.raises(Poison):
        read_replayed(header)
