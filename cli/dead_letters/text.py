"""Dead letters as a person reads them: a list, counts, and one of them whole; and as JSON has them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from cli.dead_letters.search import Group
from cli.terminal import make_visible, print_table
from sluice.core.failures.letters import Letter, read_bytes
from sluice.core.ledger.groups import INGEST

CONDITIONS: Mapping[str, str] = {
    "fleet": "fleet_id",
    "device": "device_id",
    "contract": "contract",
    "reason": "reason",
    "consumer": "consumer",
}
"""Columns by their short names."""

# Among a million dead letters, two that begin with the same twelve digits are unlikely.
_SHORT_ID = 12


def print_list(letters: Sequence[Letter]) -> None:
    """Print a line for each letter."""
    rows = (
        (
            _write_time(letter.failed_at),
            letter.letter_id[:_SHORT_ID],
            *(getattr(letter, column) or "" for column in CONDITIONS.values()),
            letter.detail,
        )
        for letter in letters
    )
    print_table(("failed at", "id", *CONDITIONS, "detail"), rows)


def print_counts(by: Sequence[str], groups: Sequence[Group]) -> None:
    """Print a line for each group of letters."""
    rows = (
        (
            *(value or "" for value in group.values.values()),
            group.letters,
            _write_time(group.first_failed_at),
            _write_time(group.last_failed_at),
        )
        for group in groups
    )
    print_table((*by, "dead letters", "first", "last"), rows)


def write_whole(found: Sequence[Letter]) -> Iterator[str]:
    """Write one dead letter, once for each consumer that gave it up, and its bytes."""
    for letter in found:
        for name, value in describe_letter(letter).items():
            if name not in ("event", "event_base64", "first_event"):
                yield f"{name.replace('_', ' '):15}  {make_visible(str(value))}"
        yield ""
    sent, body = found[0], read_bytes(found[0])
    cut = f", the first {len(body):,} of them kept" if len(body) < sent.event_size else ""
    binary = "" if sent.event_base64 is None else ", not UTF-8 (\\xff stands for byte ff)"
    yield f"the event as it was sent, {sent.event_size:,} bytes{cut}{binary}:"
    yield from map(make_visible, body.decode("utf-8", "backslashreplace").split("\n"))
    if sent.first_event is not None:
        yield ""
        yield "the first event with this id, which counts:"
        yield from map(make_visible, sent.first_event.split("\n"))


def describe_letter(letter: Letter) -> dict[str, Any]:
    """Return what is known of a letter; its version is not."""
    known: dict[str, Any] = msgspec.to_builtins(letter)
    del known["version"]
    return known


def describe_group(group: Group) -> dict[str, Any]:
    """Return the values that its letters share, and how many there are."""
    times = {"first_failed_at": group.first_failed_at, "last_failed_at": group.last_failed_at}
    return {**group.values, "letters": group.letters, **times}


def write_breaches(breaches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Write what a letter breaks, a paragraph for each rule."""
    for one in breaches:
        yield ""
        yield f"{one['message']} ({one['rule']})"
        if one["value"] is not None:
            yield f"  value   {one['value']}"
        if one["path"] is not None:
            yield f"  passes  {one['passes']}"


def write_fix(found: Mapping[str, Any]) -> Iterator[str]:
    """Write a fix, verb by verb, and how many of the letters that it was tried on would pass."""
    for verb in found["fix"]:
        yield " ".join(f"{name}={json.dumps(value)}" if name != "verb" else value for name, value in verb.items())
    if not found["fix"]:
        yield "no fix: the events as they are"
    if (consumer := found.get("consumer", INGEST)) != INGEST:
        yield (
            f"{found['passed']:,} of {found['tried']:,} records that were tried can be read now; {consumer} alone gets"
            " them again, at their own offsets"
        )
        return
    yield (
        f"{found['passed']:,} of {found['tried']:,} letters that were tried would pass ({found['share']:.1%});"
        f" without a fix, {found['passed_before']:,}"
    )
    if not found["complete"]:
        yield "The time was over before all letters were read and all candidates tried: this is the best so far."


def _write_time(moment: str) -> str:
    return moment[:19].replace("T", " ")
