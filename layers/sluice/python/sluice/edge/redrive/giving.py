"""Letters of a consumer, given to that consumer alone: each is the record that it was, at its own offset.

look up what the ledger says -> write what each becomes -> give, partition by partition -> write what was taken

Kafka is not asked: the letter has the record. The consumer treats it as a redelivery of its offset. A run may end
anywhere. aggregate counts a record only while it is in a gap, and archive's second row is shown once.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

import msgspec

from sluice.core.consumers import RAW_EVENTS
from sluice.core.errors import Retryable
from sluice.core.failures.letters import Letter, read_bytes
from sluice.core.failures.rejected import RejectedRecord
from sluice.core.ledger.rerun import MOST_BYTES, Taken, write_event
from sluice.core.pieces import cut
from sluice.core.redrive.groups import (
    INCOMPLETE,
    REJECTED,
    SENDING,
    Standing,
    count_attempt,
    identify,
    is_due,
    is_whole,
)
from sluice.core.redrive.records import place_of, restore_record, when_received
from sluice.core.redrive.turns import LedgerState, Turn, take_turn, was_opened
from sluice.edge.database import Connection
from sluice.edge.invoked import InvokedFunction
from sluice.edge.ledger.counted_back import find_counted_back, try_lock_counting
from sluice.edge.ledger.given_up import leave_gaps, take_from_gaps
from sluice.edge.redrive.tables import Judged, Redrive, RedriveTables

PIECE = 500
"""How many records an invocation gets at most."""

_LEDGER = """
    SELECT
        coverage.offsets @> asked.kafka_offset,
        EXISTS (
            SELECT FROM gap
            WHERE gap.consumer = coverage.consumer AND gap.topic = coverage.topic
                AND gap.partition = coverage.partition AND gap.given_up AND gap.offsets @> asked.kafka_offset
        ),
        nullif(coverage.begun_at, '-infinity'), nullif(coverage.received_until, '-infinity')
    FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) WITH ORDINALITY
        AS asked (partition, kafka_offset, position)
    LEFT JOIN coverage ON coverage.consumer = %(consumer)s AND coverage.topic = %(topic)s
        AND coverage.partition = asked.partition
    ORDER BY asked.position
"""


class Takers(msgspec.Struct, frozen=True):
    """The consumers that records are given to, and what their event source says of the cluster."""

    functions: Mapping[str, InvokedFunction]
    cluster_arn: str
    bootstrap: str


class Given(msgspec.Struct):
    """What a run has done with the letters of an object."""

    records: int = 0
    passed_over: int = 0
    complete: bool = True
    """Whether each letter had its turn, before the time was over."""


class Giving:
    """Gives records of one object of letters."""

    def __init__(
        self,
        takers: Takers,
        connection: Connection,
        keep_pace: Callable[[int, datetime], None],
        may_go_on: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._takers = takers
        self._connection = connection
        self._tables = RedriveTables(connection)
        self._keep_pace = keep_pace
        self._may_go_on = may_go_on
        self._clock = clock

    def give(self, redrive: Redrive, letters: Sequence[Letter], alike: set[int]) -> Given:
        """Give the records whose turn it is."""
        by_id = {identify(letter): letter for letter in letters}
        known = self._tables.find_standings([*by_id])
        due = {one: letter for one, letter in by_id.items() if is_due(known.get(one), redrive.redrive_number, alike)}
        passed = [known[one] for one in by_id.keys() - due.keys()]
        given = Given(passed_over=sum(one.redrive_number != redrive.redrive_number for one in passed))
        with self._connection.transaction():
            turns = self._begin(redrive, due, known)
        attempts = {one: count_attempt(known.get(one)) for one in due}
        for piece in _cut([letter for one, letter in due.items() if turns[one].gives]):
            # Every run gives at least one piece.
            if given.records and not self._may_go_on():
                given.complete = False
                break
            began = self._clock()
            self._give_piece(redrive, piece, attempts)
            given.records += len(piece)
            self._keep_pace(len(piece), began)
        return given

    def _begin(self, redrive: Redrive, due: Mapping[str, Letter], known: Mapping[str, Standing]) -> dict[str, Turn]:
        """Write what each letter becomes, before any record is given. Needs an open transaction."""
        # In the middle of its transaction, a replay has counted records that still look uncounted from here.
        if not try_lock_counting(self._connection, redrive.consumer):
            raise Retryable(f"a replay accounts for records of {redrive.consumer} now")
        whole = {one: letter for one, letter in due.items() if is_whole(letter)}
        found = dict(zip(whole, self._ask_ledger(redrive.consumer, [*whole.values()]), strict=True))
        if uncounted := sum(not state.covered for state in found.values()):
            raise Retryable(f"the ledger has not counted {uncounted} letters of {redrive.consumer} yet")
        turns = {
            one: take_turn(letter, known.get(one), found[one]) if one in whole else Turn(INCOMPLETE)
            for one, letter in due.items()
        }
        judged = [_write(due[one], one, turn, known.get(one)) for one, turn in turns.items()]
        if judged:
            self._tables.write(redrive.redrive_number, judged)
        opened = [due[one] for one, turn in turns.items() if turn.opens]
        leave_gaps(self._connection, redrive.consumer, {place_of(one): when_received(one) for one in opened})
        recovered = {one: place_of(due[one]) for one, turn in turns.items() if turn.state == SENDING and not turn.gives}
        if recovered:
            self._tables.place(redrive.redrive_number, recovered)
        return turns

    def _give_piece(self, redrive: Redrive, letters: Sequence[Letter], attempts: Mapping[str, int]) -> None:
        """Give some records of one partition, and write which were taken."""
        function = self._takers.functions[redrive.consumer]
        records = [restore_record(letter) for letter in letters]
        event = write_event(records, self._takers.cluster_arn, self._takers.bootstrap, redriven=True)
        taken = function.ask(msgspec.Raw(event), Taken)
        if taken.rejected is None:
            raise Retryable(f"{redrive.consumer} is of an earlier release, which takes no re-drive")
        rejected = {one.offset: one for one in taken.rejected}
        failed_at = taken.failed_at()
        done = [letter for letter in letters if failed_at is None or place_of(letter).offset < failed_at]
        bad = [letter for letter in done if place_of(letter).offset in rejected]
        with self._connection.transaction():
            if bad:
                judged = [_reject(one, attempts[identify(one)], rejected[place_of(one).offset]) for one in bad]
                self._tables.write(redrive.redrive_number, judged)
                # It was in no gap before this re-drive.
                closed = {place_of(letter) for letter in bad if was_opened(letter)}
                take_from_gaps(self._connection, redrive.consumer, closed)
            good = {identify(one): place_of(one) for one in done if place_of(one).offset not in rejected}
            if good:
                self._tables.place(redrive.redrive_number, good)
        if failed_at is not None:
            raise Retryable(f"{redrive.consumer} did not take offset {failed_at} of {RAW_EVENTS}")

    def _ask_ledger(self, consumer: str, letters: Sequence[Letter]) -> Iterator[LedgerState]:
        places = [place_of(letter) for letter in letters]
        rows = self._connection.execute(
            _LEDGER,
            {
                "consumer": consumer,
                "topic": RAW_EVENTS,
                "partitions": [place.partition for place in places],
                "offsets": [place.offset for place in places],
            },
        ).fetchall()
        back = find_counted_back(self._connection, consumer, {place_of(one): when_received(one) for one in letters})
        for place, (covered, in_gap, begun_at, received_until) in zip(places, rows, strict=True):
            yield LedgerState(bool(covered), bool(in_gap), begun_at, received_until, place in back)


def _cut(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Cut letters into pieces of one partition, in the order of their offsets."""
    for _, some in groupby(sorted(letters, key=place_of), lambda letter: place_of(letter).partition):
        yield from cut(some, lambda letter: restore_record(letter).payload_bytes, MOST_BYTES, PIECE)


def _write(letter: Letter, known_as: str, turn: Turn, standing: Standing | None) -> Judged:
    before = standing.attempts if standing else 0
    tried = turn.gives or turn.state == REJECTED
    whole = turn.state != INCOMPLETE
    return Judged(
        known_as,
        turn.state,
        count_attempt(standing) if tried else before,
        hashlib.sha256(read_bytes(letter)).hexdigest() if whole else None,
        turn.reason,
        turn.detail,
        letter.consumer,
        letter.kafka_partition if whole else None,
        letter.kafka_offset if whole else None,
    )


def _reject(letter: Letter, attempts: int, why: RejectedRecord) -> Judged:
    place = place_of(letter)
    sent = hashlib.sha256(read_bytes(letter)).hexdigest()
    # PostgreSQL's text has no NUL.
    detail = why.detail.replace("\0", "")
    return Judged(
        identify(letter), REJECTED, attempts, sent, why.reason, detail, letter.consumer, place.partition, place.offset
    )
