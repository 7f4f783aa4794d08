"""A run signs the newest entry of a sound audit, and nothing else: each kind of tampering is named."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from sluice.core.control import checkpoints
from sluice.core.control.audit import Act, Entry, hash_text, write_entry
from sluice.core.control.checkpoints import BadCheckpoint, read_document
from sluice.core.control.verification import Broken
from sluice.edge.control import checkpointing
from tests.support.admin_documents import entries
from tests.support.played_audit import PlayedAudit, PlayedSigner

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
CHAIN = entries(8)


@pytest.fixture
def audit() -> PlayedAudit:
    """Eight entries, of which the first five are signed."""
    audit = PlayedAudit(CHAIN[:5])
    assert audit.run(NOW).signed == 5
    audit.entries = list(CHAIN)
    return audit


def test_the_newest_entry_is_signed_once(audit: PlayedAudit) -> None:
    assert audit.run(LATER) == checkpointing.Run(8, 0)
    assert audit.run(LATER + timedelta(minutes=5)) == checkpointing.Run(None, 0)
    newest, older = (read_document(data, "test")[1] for _, data in sorted(audit.stored.items()))
    assert (newest.number, newest.hash, newest.signed_at) == (8, CHAIN[7].hash, LATER)
    assert (older.number, older.hash, older.signed_at) == (5, CHAIN[4].hash, NOW)


def test_an_audit_without_changes_is_signed_again_before_its_checkpoint_is_unlocked(audit: PlayedAudit) -> None:
    audit.entries = CHAIN[:5]
    assert audit.run(NOW + timedelta(hours=23)).signed is None
    assert audit.run(NOW + timedelta(hours=24)).signed == 5
    assert len(audit.stored) == 2


def test_an_empty_audit_has_nothing_to_sign() -> None:
    audit = PlayedAudit([])
    assert audit.run(NOW) == checkpointing.Run(None, 0)
    assert audit.stored == {}


def test_a_long_audit_is_read_in_pages_and_signed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "PAGE", 2)
    monkeypatch.setattr(checkpointing, "MOST_VERIFIED", 3)
    audit = PlayedAudit(CHAIN)
    runs = [audit.run(NOW + number * timedelta(minutes=5)) for number in range(4)]
    assert [(run.signed, run.unsigned) for run in runs] == [(3, 5), (6, 2), (8, 0), (None, 0)]


def forged(number: int, text: bytes) -> Entry:
    return Entry(number, text, hash_text(text))


def continue_differently(sound: list[Entry], length: int) -> list[Entry]:
    made = list(sound)
    while len(made) < length:
        act = Act(NOW, "arn:aws:iam::1:user/forger", "fleet.change", "fleet/f", {}, {"n": len(made)}, "c")
        made.append(write_entry(act, made[-1] if made else None))
    return made


def edit(number: int) -> list[Entry]:
    changed = list(CHAIN)
    old = changed[number - 1]
    changed[number - 1] = replace(old, text=old.text.replace(b"person", b"nobody"))
    return changed


def edit_and_hash(number: int) -> list[Entry]:
    changed = edit(number)
    changed[number - 1] = forged(number, changed[number - 1].text)
    return changed


def delete(number: int) -> list[Entry]:
    return [each for each in CHAIN if each.number != number]


def exchange(number: int) -> list[Entry]:
    changed = list(CHAIN)
    one, other = changed[number - 1 : number + 1]
    changed[number - 1 : number + 1] = [replace(other, number=number), replace(one, number=number + 1)]
    return changed


TAMPERED: dict[str, tuple[Callable[[], list[Entry]], str]] = {
    "edited": (lambda: edit(7), "entry 7: its text does not match its hash"),
    "edited and hashed": (lambda: edit_and_hash(7), "entry 8: it does not follow entry 7"),
    "deleted": (lambda: delete(7), "entry 7: it is missing: entry 8 stands in its place"),
    "reordered": (lambda: exchange(6), "entry 6: it stands after a later one"),
    "edited where it was signed": (lambda: edit(5), "entry 5: its text does not match its hash"),
    "hashed where it was signed": (lambda: edit_and_hash(5), "entry 5: it, or one before it, was rewritten"),
    "deleted where it was signed": (lambda: delete(5), "entry 5: it is missing: a later one is there"),
    "edited before": (lambda: edit(2), "entry 2: its text does not match its hash"),
    "edited and hashed before": (lambda: edit_and_hash(2), "entry 3: it does not follow entry 2"),
    "deleted before": (lambda: delete(3), "entry 3: it is missing: entry 4 stands in its place"),
    "reordered before": (lambda: exchange(2), "entry 2: it stands after a later one"),
    "truncated": (lambda: CHAIN[:4], "entry 5: it is missing, like all after it: a checkpoint knows entry 5"),
    "emptied": (list, "entry 1: it is missing, like all after it: a checkpoint knows entry 5"),
    "rewritten": (lambda: continue_differently([], 8), "entry 5: it, or one before it, was rewritten"),
    "restored to an older state": (
        lambda: continue_differently(CHAIN[:3], 8),
        "entry 5: it, or one before it, was rewritten",
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_an_altered_audit_is_named_and_not_signed(audit: PlayedAudit, how: str) -> None:
    tamper, says = TAMPERED[how]
    audit.entries = tamper()
    before = dict(audit.stored)
    with pytest.raises(Broken, match=says):
        audit.run(LATER)
    assert audit.stored == before


@pytest.mark.parametrize("number", range(1, 8))
def test_an_older_entry_is_seen_when_its_stretch_has_its_turn(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(checkpoints, "STRETCH", 2)
    audit = PlayedAudit(list(CHAIN))
    audit.run(NOW)
    for tampered in (edit(number), edit_and_hash(number), delete(number)):
        audit.entries = tampered
        seen = []
        for turn in range(4):
            try:
                audit.run(NOW + timedelta(seconds=turn * checkpointing.TURN_SECONDS))
            except Broken as broken:
                seen.append(broken.number)
        assert set(seen) & {number, number + 1}


def alter(data: bytes, **changes: str) -> bytes:
    return json.dumps(json.loads(data) | changes).encode()


def test_a_checkpoint_of_another_key_is_named(audit: PlayedAudit) -> None:
    audit.signer = PlayedSigner(b"another")
    with pytest.raises(BadCheckpoint, match="its signature does not match: another key signed it, or it was altered"):
        audit.run(LATER)


def test_a_checkpoint_of_another_stage_is_named(audit: PlayedAudit) -> None:
    audit.stage = "prod"
    with pytest.raises(BadCheckpoint, match="it is of stage 'test', and not of 'prod'"):
        audit.run(LATER)


def test_a_checkpoint_that_was_altered_is_named(audit: PlayedAudit) -> None:
    ((name, data),) = audit.stored.items()
    text = json.loads(data)["checkpoint"].replace(CHAIN[4].hash, "a" * 64)
    audit.stored[name] = alter(data, checkpoint=text)
    with pytest.raises(BadCheckpoint, match=rf"{name}: its signature does not match"):
        audit.run(LATER)


def test_an_old_checkpoint_under_a_newer_name_does_not_hide_those_between(audit: PlayedAudit) -> None:
    ((_, old),) = audit.stored.items()
    audit.run(LATER)
    audit.stored["checkpoints/00000000000-5.json"] = old
    audit.entries = continue_differently(CHAIN[:5], 9)
    with pytest.raises(BadCheckpoint, match="it was not stored under this name"):
        audit.run(LATER)
