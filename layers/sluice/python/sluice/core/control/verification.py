"""Verifying an audit: where the chain breaks first, if entries were edited, deleted, moved or cut off.

The owner of the database can rewrite the whole chain. Only a checkpoint that lies elsewhere shows that.
"""

from collections.abc import Iterable, Sequence

import msgspec

from sluice.core.control.audit import BEFORE_THE_FIRST, Entry, hash_text


class Checkpoint(msgspec.Struct, frozen=True):
    """The hash that an entry had at some time."""

    number: int
    hash: str


BEGINNING = Checkpoint(0, BEFORE_THE_FIRST)
"""Before the first entry."""


class Broken(Exception):
    """The audit is not what was written."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"entry {number}: {why}")
        self.number = number
        """The first bad entry."""


class CutOff(Broken):
    """Entries that a checkpoint knows are not there: they were removed, or the checkpoint is newer."""


class _Link(msgspec.Struct):
    """What of an entry links it to the one before."""

    number: int
    previous: str


_DECODER = msgspec.json.Decoder(_Link)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def verify(entries: Iterable[Entry], checkpoints: Sequence[Checkpoint], since: Checkpoint = BEGINNING) -> int:
    """Verify entries from the first to the last, and return the last one's number; or name the first bad one.

    A caller who knows that the entries up to one are sound gives those after it, and that one as `since`.
    """
    marks = {each.number: each.hash for each in checkpoints}
    number, previous, sound = since.number, since.hash, since.number
    given = iter(entries)
    for entry in given:
        number += 1
        link = _read(entry, number)
        if link.number != number:
            raise _misplaced(number, link.number, given)
        if link.previous != previous:
            raise Broken(number, f"it does not follow entry {number - 1}: one of the two was replaced")
        previous = entry.hash
        if number in marks:
            if marks[number] != previous:
                raise Broken(sound + 1, f"entries up to {number} were rewritten: checkpoint {number} differs")
            sound = number
    if cut := [each for each in marks if each > number]:
        raise CutOff(number + 1, f"it is missing, like all after it: a checkpoint knows entry {max(cut)}")
    return number


def check_held(entry: Entry | None, checkpoint: Checkpoint, newest: Checkpoint) -> None:
    """Check an entry that a database has where a checkpoint stands; `newest` is the newest one that it has."""
    number = checkpoint.number
    if number > newest.number:
        verify([], [checkpoint], newest)
    if entry is None or entry.number != number:
        raise Broken(number, "it is missing: a later one is there")
    _read(entry, number)
    if entry.hash != checkpoint.hash:
        raise Broken(number, "it, or one before it, was rewritten: its checkpoint differs")


def _read(entry: Entry, number: int) -> _Link:
    if hash_text(entry.text) != entry.hash:
        raise Broken(number, "its text does not match its hash: it was edited")
    try:
        return _DECODER.decode(entry.text)
    except _UNREADABLE as error:
        raise Broken(number, f"it cannot be read: {error}") from error


def _misplaced(number: int, found: int, rest: Iterable[Entry]) -> Broken:
    if found < number:
        return Broken(number, f"entry {found} stands in its place: entries were repeated or moved")
    for entry in rest:
        try:
            if _DECODER.decode(entry.text).number == number:
                return Broken(number, "it stands after a later one: entries were moved")
        except _UNREADABLE:
            continue
    return Broken(number, f"it is missing: entry {found} stands in its place")
