"""Signed checkpoints: what is signed, where it is stored, and what is refused as none."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.core.control import checkpoints
from sluice.core.control.checkpoints import BadCheckpoint, Signed, choose_stretch, read_document, write_document
from sluice.core.control.verification import BEGINNING, Broken, Checkpoint, check_held, verify
from tests.support.admin_documents import entries

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SIGNED = Signed("a" * 64, 7, NOW, "prod")
STORED = write_document(SIGNED.write(), b"\x00signature", "arn:aws:kms:eu-central-1:1:key/k")
ENTRIES = entries(7)


def mark(number: int) -> Checkpoint:
    return Checkpoint(number, ENTRIES[number - 1].hash)


def test_what_is_signed_is_canonical_json() -> None:
    text = f'{{"hash":"{"a" * 64}","number":7,"signed_at":"2026-11-29T12:00:00.000000Z","stage":"prod"}}'
    assert SIGNED.write() == text.encode()
    elsewhere = replace(SIGNED, signed_at=NOW.astimezone(timezone(timedelta(hours=5))))
    assert elsewhere.write() == SIGNED.write()


def test_a_document_is_read_as_it_was_written() -> None:
    document, signed = read_document(STORED, "prod")
    assert signed == SIGNED
    assert signed.checkpoint == Checkpoint(7, "a" * 64)
    assert (document.text, document.read_signature()) == (SIGNED.write(), b"\x00signature")
    assert json.loads(STORED) == {
        "checkpoint": SIGNED.write().decode(),
        "signature": base64.b64encode(b"\x00signature").decode(),
        "key": "arn:aws:kms:eu-central-1:1:key/k",
        "algorithm": "ECDSA_SHA_256",
    }


def test_names_list_the_newest_first_and_say_which_entry() -> None:
    times = [NOW - timedelta(days=9000), NOW - timedelta(seconds=1), NOW, NOW + timedelta(days=36_500)]
    names = [replace(SIGNED, signed_at=time).name for time in times]
    assert sorted(names, reverse=True) == names
    assert all(name.startswith("checkpoints/") and name.endswith("-7.json") for name in names)


def with_text(**changes: Any) -> bytes:
    text = json.dumps(json.loads(SIGNED.write()) | changes, separators=(",", ":"), sort_keys=True)
    return write_document(text.encode(), b"s", "k")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it cannot be read"),
        (b"\xff", "it cannot be read"),
        (b"[" * 100_000, "it cannot be read"),
        (b"{}", "it cannot be read"),
        (json.dumps(json.loads(STORED) | {"algorithm": "NONE"}).encode(), "it cannot be read"),
        (json.dumps(json.loads(STORED) | {"more": 1}).encode(), "it cannot be read"),
        (with_text(number=0), "it cannot be read"),
        (with_text(number=2**60), "it cannot be read"),
        (with_text(hash="A" * 64), "it cannot be read"),
        (with_text(signed_at="yesterday"), "it cannot be read"),
        (with_text(more=1), "it cannot be read"),
        (with_text(signed_at="2026-11-29T12:00:00Z"), "not canonical"),
        (write_document(SIGNED.write() + b" ", b"s", "k"), "not canonical"),
        (with_text(stage="dev"), "it is of stage 'dev', and not of 'prod'"),
    ],
)
def test_what_is_no_checkpoint_of_the_stage_is_named(data: bytes, says: str) -> None:
    with pytest.raises(BadCheckpoint, match=says):
        read_document(data, "prod")


def test_a_signature_that_is_no_base64_is_named() -> None:
    document, _ = read_document(json.dumps(json.loads(STORED) | {"signature": "é?"}).encode(), None)
    with pytest.raises(BadCheckpoint, match="not base64"):
        document.read_signature()


def test_runs_in_turn_verify_every_signed_entry_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STRETCH", 3)
    assert choose_stretch(0, 5) == (0, 0)
    assert choose_stretch(3, 5) == (0, 3)
    assert [choose_stretch(7, turn) for turn in range(4)] == [(0, 3), (3, 6), (6, 7), (0, 3)]


def test_entries_are_verified_after_one_that_is_known() -> None:
    assert verify(ENTRIES[4:], [mark(7)], mark(4)) == 7
    assert verify([], [], mark(7)) == 7
    with pytest.raises(Broken, match="entry 5: it does not follow entry 4"):
        verify(ENTRIES[4:], [], replace(mark(4), hash="b" * 64))
    with pytest.raises(Broken, match="entry 5: it is missing: entry 6 stands in its place"):
        verify(ENTRIES[5:], [], mark(4))


def test_the_entry_of_a_checkpoint_is_held() -> None:
    check_held(ENTRIES[4], mark(5), mark(7))


@pytest.mark.parametrize(
    ("tamper", "newest", "says"),
    [
        (lambda _: None, BEGINNING, "entry 1: it is missing, like all after it: a checkpoint knows entry 5"),
        (lambda _: None, mark(3), "entry 4: it is missing, like all after it: a checkpoint knows entry 5"),
        (lambda _: ENTRIES[5], mark(7), "entry 5: it is missing: a later one is there"),
        (lambda entry: replace(entry, text=entry.text + b" "), mark(7), "entry 5: its text does not match its hash"),
        (lambda _: replace(ENTRIES[5], number=5), mark(7), "entry 5: it, or one before it, was rewritten"),
    ],
)
def test_an_entry_that_a_checkpoint_does_not_know_is_named(
    tamper: Callable[[Any], Any], newest: Checkpoint, says: str
) -> None:
    with pytest.raises(Broken, match=says):
        check_held(tamper(ENTRIES[4]), mark(5), newest)
