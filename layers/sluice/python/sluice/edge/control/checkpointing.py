"""A run that signs the newest entry of the audit, if the audit is still what was signed before."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from sluice.core.control.audit import Entry
from sluice.core.control.checkpoints import (
    MOST_VERIFIED,
    BadCheckpoint,
    Signed,
    choose_stretch,
    read_document,
    write_document,
)
from sluice.core.control.verification import BEGINNING, Broken, Checkpoint, check_held, verify
from sluice.edge.control.checkpoint_bucket import CheckpointBucket
from sluice.edge.control.signing import Signer
from sluice.edge.control.store import ControlStore, Rows

PAGE = 1000
TURN_SECONDS = 300
_AFTER_ALL = 2**63 - 1


class Run(msgspec.Struct, frozen=True):
    """What a run did."""

    signed: int | None
    """The number of the entry that it signed, if any."""
    unsigned: int
    """How many entries no checkpoint covers."""


class Checkpointing(msgspec.Struct, frozen=True):
    """Verifies the audit, and signs its newest entry."""

    store: ControlStore
    bucket: CheckpointBucket
    signer: Signer
    stage: str
    renewal: timedelta
    """After how long an entry is signed again: a stage without changes has a locked checkpoint, too."""

    def run(self, now: datetime) -> Run:
        """Sign what is new; Broken or BadCheckpoint says what was altered, and nothing is signed."""
        held = self._find_held()
        with self.store.reading() as rows:
            verified, newest = _verify(rows, held.checkpoint if held else BEGINNING, now)
        if not verified.number or (held and held.number == verified.number and now - held.signed_at < self.renewal):
            return Run(None, newest - verified.number)
        signed = Signed(verified.hash, verified.number, now, self.stage)
        text = signed.write()
        self.bucket.put(signed.name, write_document(text, *self.signer.sign(text)))
        return Run(signed.number, newest - signed.number)

    def _find_held(self) -> Signed | None:
        """Read the newest checkpoint."""
        found = self.bucket.find_newest()
        if found is None:
            return None
        name, data = found
        try:
            return self._read(name, data)
        except BadCheckpoint as error:
            raise BadCheckpoint(f"{name}: {error}") from error

    def _read(self, name: str, data: bytes) -> Signed:
        document, signed = read_document(data, self.stage)
        # An old one under a new name would stand before those in between.
        if name != signed.name:
            raise BadCheckpoint("it was not stored under this name")
        if not self.signer.verifies(document.text, document.read_signature()):
            raise BadCheckpoint("its signature does not match: another key signed it, or it was altered")
        return signed


def _verify(rows: Rows, held: Checkpoint, now: datetime) -> tuple[Checkpoint, int]:
    """Verify entries that no checkpoint covers, and some of the others; return the last one, and the newest number."""
    newest = _mark(rows.entries(_AFTER_ALL, 1, newest_first=True))
    if held.number:
        check_held(_find(rows, held.number), held, newest)
    start, end = choose_stretch(held.number, int(now.timestamp()) // TURN_SECONDS)
    verify(_following(rows, start, end - start), [held] if end == held.number else [], _mark_at(rows, start))
    last = verify(_following(rows, held.number, MOST_VERIFIED), [], held)
    return _mark_at(rows, last), newest.number


def _find(rows: Rows, number: int) -> Entry | None:
    """Read the entry of a number, or else the next one."""
    found = rows.entries(number - 1, 1, newest_first=False)
    return found[0] if found else None


def _mark_at(rows: Rows, number: int) -> Checkpoint:
    entry = _find(rows, number) if number else None
    if number and (entry is None or entry.number != number):
        raise Broken(number, "it is missing: a later one is there")
    return _mark([entry] if entry else [])


def _mark(found: list[Entry]) -> Checkpoint:
    return Checkpoint(found[0].number, found[0].hash) if found else BEGINNING


def _following(rows: Rows, after: int, most: int) -> Iterator[Entry]:
    """Read entries page by page."""
    while most > 0:
        page = rows.entries(after, min(PAGE, most), newest_first=False)
        yield from page
        if len(page) < min(PAGE, most):
            return
        after, most = page[-1].number, most - len(page)
