"""The audit's chain: what an entry holds, and which entry a verifier names for each kind of tampering."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.core.control.audit import BEFORE_THE_FIRST, Act, Entry, hash_text, write_entry
from sluice.core.control.verification import Broken, Checkpoint, verify

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def act(**changes: Any) -> Act:
    wanted: dict[str, Any] = {
        "at": NOW,
        "principal": "arn:aws:iam::123456789012:user/someone",
        "action": "fleet.change",
        "target": "fleet/f",
        "before": {"events_per_second": 5.0, "state": "active"},
        "after": {"events_per_second": 1e21, "state": "active"},
        "correlation_id": "c-1",
    }
    return Act(**{**wanted, **changes})


def chain(length: int) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(length):
        entries.append(write_entry(act(correlation_id=f"c-{number}"), entries[-1] if entries else None))
    return entries


def mark(entries: list[Entry], *numbers: int) -> list[Checkpoint]:
    return [Checkpoint(number, entries[number - 1].hash) for number in numbers]


def test_an_entry_is_canonical_json_with_what_changed() -> None:
    (first,) = chain(1)
    assert first.text == (
        b'{"action":"fleet.change","at":"2026-11-29T12:00:00.000000Z",'
        b'"changes":{"events_per_second":{"after":1e+21,"before":5}},"correlation_id":"c-0","number":1,'
        b'"previous":"' + BEFORE_THE_FIRST.encode() + b'","principal":"arn:aws:iam::123456789012:user/someone",'
        b'"reason":null,"target":"fleet/f"}'
    )
    assert first.hash == hash_text(first.text)


def test_a_new_thing_changes_from_nothing() -> None:
    entry = write_entry(act(before=None, after={"role": "device"}), None)
    assert json.loads(entry.text)["changes"] == {"role": {"before": None, "after": "device"}}


def test_a_sound_chain_is_counted() -> None:
    entries = chain(5)
    assert verify(entries, mark(entries, 2, 5)) == 5
    assert verify([], []) == 0


def edit(entries: list[Entry]) -> None:
    entries[2] = replace(entries[2], text=entries[2].text.replace(b"someone", b"someelse"))


def edit_and_hash(entries: list[Entry]) -> None:
    edit(entries)
    entries[2] = replace(entries[2], hash=hash_text(entries[2].text))


def delete(entries: list[Entry]) -> None:
    del entries[2]


def move(entries: list[Entry]) -> None:
    entries[2], entries[3] = entries[3], entries[2]


def repeat(entries: list[Entry]) -> None:
    entries.insert(2, entries[1])


def garble(entries: list[Entry]) -> None:
    text = b"nothing"
    entries[2] = Entry(3, text, hash_text(text))


def nest(entries: list[Entry]) -> None:
    text = b'{"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    entries[2] = Entry(3, text, hash_text(text))


def break_characters(entries: list[Entry]) -> None:
    text = entries[2].text.replace(b'"previous":"', b'"previous":"\xff')
    entries[2] = Entry(3, text, hash_text(text))


def delete_and_nest(entries: list[Entry]) -> None:
    delete(entries)
    text = b'{"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    entries.append(Entry(6, text, hash_text(text)))


def cut(entries: list[Entry]) -> None:
    del entries[4:]


def write_anew(entries: list[Entry]) -> None:
    entries[:] = entries[:2]
    for number in range(4):
        entries.append(
            write_entry(act(principal="arn:aws:iam::1:user/forger", correlation_id=f"{number}"), entries[-1])
        )


@pytest.mark.parametrize(
    ("tamper", "number", "why"),
    [
        (edit, 3, "it was edited"),
        (edit_and_hash, 4, "it does not follow entry 3"),
        (delete, 3, "it is missing"),
        (move, 3, "entries were moved"),
        (repeat, 3, "entry 2 stands in its place"),
        (garble, 3, "it cannot be read"),
        (nest, 3, "it cannot be read"),
        (break_characters, 3, "it cannot be read"),
        (delete_and_nest, 3, "it is missing"),
        (cut, 5, "a checkpoint knows entry 6"),
        (write_anew, 3, "checkpoint 6 differs"),
    ],
)
def test_tampering_is_named(tamper: Callable[[list[Entry]], None], number: int, why: str) -> None:
    entries = chain(6)
    checkpoints = mark(entries, 2, 6)
    tamper(entries)
    with pytest.raises(Broken, match=f"^entry {number}: .*{why}") as broken:
        verify(entries, checkpoints)
    assert broken.value.number == number
