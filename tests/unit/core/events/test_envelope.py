import msgspec
import pytest

from sluice.core.errors import Ahead, Poison
from sluice.core.events import envelope
from sluice.core.events.envelope import VERSION, Envelope, Head, read_envelope, read_head, write_envelope
from tests.support import samples

KNOWN = Envelope(VERSION, samples.NOW, "demo", "telemetry", 1, (), "c")
REDRIVEN = Envelope(VERSION, samples.NOW, "demo", "telemetry", 1, ("redriven",), "c", "ab" * 32)


def test_a_release_reads_its_own_version_and_at_most_the_one_before() -> None:
    assert {VERSION} <= set(envelope._READERS) <= {VERSION, VERSION - 1}


def test_every_reader_ignores_what_is_appended() -> None:
    more = b',{"any":["thing"]},null]'
    assert read_envelope(write_envelope(KNOWN)[:-1] + b",null" + more) == KNOWN
    assert read_envelope(write_envelope(REDRIVEN)[:-1] + more) == REDRIVEN


def test_only_a_redriven_event_pays_for_the_hash_of_its_original() -> None:
    assert write_envelope(KNOWN).endswith(b',[],"c"]')
    assert read_envelope(write_envelope(KNOWN)) == KNOWN
    assert read_envelope(write_envelope(REDRIVEN)) == REDRIVEN


def test_the_release_before_reads_a_redriven_event() -> None:
    class Before(Head, frozen=True, array_like=True):
        flags: tuple[str, ...]
        correlation_id: str

    read = msgspec.json.decode(write_envelope(REDRIVEN), type=Before)
    assert (read.received_at, read.flags, read.correlation_id) == (samples.NOW, ("redriven",), "c")


@pytest.mark.parametrize("rest", [b"", b',{"other":"form"}', b',[],"c","more"'])
def test_a_later_version_is_ahead_with_anything_behind_its_head(rest: bytes) -> None:
    header = b'[%d,"2026-11-20T09:30:05.250000Z","demo","telemetry",4%s]' % (VERSION + 1, rest)
    with pytest.raises(Ahead) as ahead:
        read_envelope(header)
    assert (ahead.value.unknown, ahead.value.reason) == (f"envelope {VERSION + 1}", "version_ahead")
    assert read_head(header) == Head(VERSION + 1, samples.NOW, "demo", "telemetry", 4)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b"[0]",
        b"[-1]",
        b"[true]",
        b'["2"]',
        b"[2]",
        b"[99999999999]",
        b'[2,"2026-11-20T09:30:05","demo","telemetry",1]',
        b'[2,"2026-11-20T09:30:05Z","De mo","telemetry",1]',
        b'[2,"2026-11-20T09:30:05Z","demo","telemetry",0]',
        write_envelope(KNOWN)[:-1] + b",\xff]",
        msgspec.json.encode([VERSION]),
    ],
)
def test_what_is_no_envelope_of_any_version_is_poison(header: bytes | None) -> None:
    with pytest.raises(Poison):
        read_envelope(header)
