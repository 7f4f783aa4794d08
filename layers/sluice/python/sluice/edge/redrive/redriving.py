"""A re-drive's work: every letter of its group is fixed, judged and, if it passes, produced to raw-events.

Letters of a consumer are given to that consumer instead (giving).

take the group's letters from an object -> judge -> write what each becomes -> produce -> write where each is -> next

A run may end anywhere. An event whose place was not written is produced again by the next run: both records have the
same event id, the consumers account for both, and aggregate counts one.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.control.audit import Act
from sluice.core.errors import Refusal, Retryable
from sluice.core.failures.letters import MAX_DETAIL, Letter
from sluice.core.ingest.judge import Accepted, Rejected, Rules
from sluice.core.ledger.groups import INGEST
from sluice.core.ledger.statement import SETTLED
from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.core.redrive.fixes import Fix, read_fix
from sluice.core.redrive.groups import (
    INCOMPLETE,
    REJECTED,
    SENDING,
    Standing,
    count_attempt,
    identify,
    is_due,
    is_whole,
    key_of,
)
from sluice.core.redrive.judging import rejudge
from sluice.core.times import write_time
from sluice.edge.broker import Broker
from sluice.edge.database import Connection
from sluice.edge.redrive.accounting import account
from sluice.edge.redrive.giving import Giving, Takers
from sluice.edge.redrive.letter_files import LetterFiles
from sluice.edge.redrive.tables import Judged, Redrive, RedriveTables

logger = Logger()

PIECE = 500
"""How many events are produced at a time."""


class Sender(msgspec.Struct, frozen=True):
    """What a run uses."""

    takers: Takers
    """The consumers whose letters they are given back."""

    files: LetterFiles
    broker: Broker
    rules: Rules
    per_second: float
    """How many events are produced a second, at most."""
    settle: timedelta
    """How long after its failure a letter may still be on its way to S3."""
    kept: timedelta
    """How long S3 keeps letters."""
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def keep_pace(self, events: int, began: datetime) -> None:
        """Rest for as long as some events, sent since a moment, are ahead of the bound on the rate."""
        ahead = events / self.per_second - (self.clock() - began).total_seconds()
        if ahead > 0:
            self.sleep(ahead)


class Redriving:
    """One run over all re-drives that are not over."""

    def __init__(self, sender: Sender, connection: Connection, may_go_on: Callable[[], bool]) -> None:
        self._sender = sender
        self._connection = connection
        self._tables = RedriveTables(connection)
        self._may_go_on = may_go_on
        self._giving = Giving(sender.takers, connection, sender.keep_pace, may_go_on, sender.clock)
        self.failed = 0
        """How many re-drives ended as failed."""

    def run(self) -> int:
        """Do what is due, unless another run is active; return how many events were produced."""
        if not self._tables.lock():
            return 0
        sent = 0
        for place, redrive in enumerate(self._tables.list_active()):
            # Every run takes up at least one object, and begins no other re-drive when its time is over.
            if place and not self._may_go_on():
                break
            try:
                if redrive.state == "sending" and self._sender.clock() >= redrive.until + self._sender.settle:
                    done, more = self._send(redrive)
                    sent += more
                    if done:
                        self._tables.drain(redrive.redrive_number)
            except Retryable as error:
                logger.warning("a re-drive waits", extra={"redrive": redrive.redrive_id, "reason": str(error)})
                self._tables.note_trouble(redrive.redrive_number, str(error)[:500])
            except Refusal as refusal:
                # Of an earlier release: its fix names a unit that is gone.
                self._tables.note_trouble(redrive.redrive_number, refusal.detail[:500])
                self._end(redrive, "failed")
        account(self._connection, self._may_go_on)
        for redrive in self._tables.list_active():
            if redrive.state == "draining":
                self._end_if_accounted(redrive)
            elif self._sender.clock() >= redrive.moved_at + SETTLED:
                trouble = redrive.trouble or "No run dealt with its next object."
                self._tables.note_trouble(redrive.redrive_number, trouble)
                self._end(redrive, "failed")
        return sent

    def _send(self, redrive: Redrive) -> tuple[bool, int]:
        """Send what passes, object by object; return whether all objects are dealt with."""
        fix = read_fix(redrive.fix, self._sender.rules.contracts.book)
        alike = self._tables.list_alike(redrive.redrive_number)
        region = self._sender.files.region
        # Before anything is read.
        self._tables.check_fleet(redrive.fleet_id, region)
        first, last = write_time(redrive.since), write_time(redrive.until)
        names = self._sender.files.list_objects(redrive.since, redrive.until, redrive.position)
        sent = 0
        for found in self._sender.files.read(names):
            if self._tables.find_state(redrive.redrive_number) != "sending":
                return False, sent
            home = self._tables.check_fleet(redrive.fleet_id, region)
            mine = {
                identify(letter): letter
                for letter in reversed(found.letters or ())
                if first <= letter.failed_at < last and letter.consumer == redrive.consumer
                if key_of(letter).group_id == redrive.group_id
            }
            letters = [*reversed(mine.values())]
            passed_over = 0
            if redrive.consumer != INGEST:
                given = self._giving.give(redrive, letters, alike)
                sent, passed_over = sent + given.records, given.passed_over
                if not given.complete:
                    return False, sent
                letters = []
            for start in range(0, len(letters), PIECE):
                more, earlier = self._send_piece(redrive, letters[start : start + PIECE], fix, home, alike)
                sent, passed_over = sent + more, passed_over + earlier
            self._tables.advance(
                redrive.redrive_number, found.name, unreadable=found.letters is None, passed_over=passed_over
            )
            if not self._may_go_on():
                return False, sent
        return True, sent

    def _send_piece(
        self, redrive: Redrive, letters: Sequence[Letter], fix: Fix, home: str | None, alike: set[int]
    ) -> tuple[int, int]:
        """Send a piece of an object; return how many events were produced, and how many letters were passed over."""
        number = redrive.redrive_number
        known = self._tables.find_standings([letter.letter_id for letter in letters])
        due = [letter for letter in letters if is_due(known.get(letter.letter_id), number, alike)]
        judged: list[Judged] = []
        messages: dict[str, Message] = {}
        for letter in due:
            verdict = rejudge(letter, fix, self._sender.rules, home) if is_whole(letter) else None
            judged.append(_write(letter, verdict, known.get(letter.letter_id)))
            if isinstance(verdict, Accepted):
                messages[letter.letter_id] = verdict.message
        if judged:
            self._tables.write(number, judged)
        self._produce(number, messages)
        passed_over = {letter.letter_id for letter in letters} - {letter.letter_id for letter in due}
        return len(messages), sum(known[one].redrive_number != number for one in passed_over)

    def _produce(self, redrive_number: int, messages: dict[str, Message]) -> None:
        if not messages:
            return
        began = self._sender.clock()
        outcomes = dict(zip(messages, self._sender.broker.place([*messages.values()]), strict=True))
        stored = {letter_id: one for letter_id, one in outcomes.items() if isinstance(one, Origin)}
        if stored:
            self._tables.place(redrive_number, stored)
        if unstored := [one.reason for one in outcomes.values() if not isinstance(one, Origin)]:
            # The next run produces them again.
            raise Retryable(f"{len(unstored)} events were not stored: {unstored[0]}")
        self._sender.keep_pace(len(messages), began)

    def _end_if_accounted(self, redrive: Redrive) -> None:
        left = self._tables.count_unaccounted(redrive.redrive_number)
        sent_at = redrive.sent_at or self._sender.clock()
        if left and self._sender.clock() < sent_at + SETTLED:
            return
        self._end(redrive, "failed" if left else "done")

    def _end(self, redrive: Redrive, state: str) -> None:
        with self._connection.transaction():
            counts = self._tables.count(redrive.redrive_number)
            if self._tables.end(redrive.redrive_number, state):
                self._tables.audit([_act(redrive, state, counts, self._sender.clock())])
                self.failed += state == "failed"
        self._tables.forget(self._sender.kept, self._may_go_on)


def _write(letter: Letter, verdict: Accepted | Rejected | None, standing: Standing | None) -> Judged:
    """Say what a letter becomes."""
    if verdict is None:
        return Judged(letter.letter_id, INCOMPLETE, standing.attempts if standing else 0, None)
    attempts = count_attempt(standing)
    sent = hashlib.sha256((letter.event or "").encode()).hexdigest()
    if isinstance(verdict, Accepted):
        return Judged(letter.letter_id, SENDING, attempts, sent)
    rejection = verdict.rejection
    # PostgreSQL's text has no NUL.
    detail = rejection.message[:MAX_DETAIL].replace("\0", "")
    return Judged(letter.letter_id, REJECTED, attempts, sent, rejection.code, detail)


def _act(redrive: Redrive, state: str, counts: dict[str, int], now: datetime) -> Act:
    after: dict[str, Any] = {"state": state, "group_id": redrive.group_id, "counts": counts}
    target = f"redrive/{redrive.redrive_id}"
    return Act(now, redrive.principal, "redrive.end", target, None, after, redrive.correlation_id, None)
