"""Processing records, the same for every consumer.

sort -> hold records that are ahead, and all records after them -> check the budget -> process the good records ->
write the dead letters of the others -> cover those
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Ahead, Fault, Killer, Poison, Retryable
from sluice.core.failures.quarantine import QuarantineExceededError
from sluice.core.failures.sorting import Faulty, count_poison, sort_records
from sluice.core.metrics import RECORDS_HELD, RECORDS_QUARANTINED, Metric
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.retry import Retry

logger = Logger()

Item = TypeVar("Item")


class Work(Protocol[Item]):
    """The work of one consumer on its records."""

    def read(self, record: KafkaRecord, now: datetime) -> Item:
        """Read a record; raise Poison or Ahead if it cannot be read."""

    def take_in(self, records: Sequence[tuple[Origin, Item]], retry: Retry) -> set[Origin]:
        """Process some records and return those to retry; Retryable means all of them."""

    def ask(self) -> None:
        """Raise Retryable while records with dead letters cannot be covered."""

    def has_done(self, record: KafkaRecord, fault: Fault, now: datetime) -> bool:
        """Return whether a record took effect before it ended its process, or raise Retryable."""

    def cover(self, records: Sequence[Faulty], now: datetime) -> None:
        """Account for records whose dead letters are stored, or raise Retryable."""


class Letters(Protocol):
    """What becomes of records that cannot be processed."""

    def check(self, poison: int, good: int, now: datetime) -> None:
        """Raise QuarantineExceededError if they are too many."""

    def write(self, faulty: Sequence[Faulty], now: datetime) -> set[Origin]:
        """Keep what is to be known of records, and return those of which it could not be kept."""

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Count them."""


class Held(Protocol):
    """Which versions are not held any longer."""

    def find_over(self, unknown: Collection[str], now: datetime) -> set[str]:
        """Note the versions seen, and return those that were held for long enough."""


class Intake:
    """Processes the records of one invocation, and counts quarantined and held ones."""

    def __init__(self, work: Work[Any], quarantine: Letters, holds: Held, clock: Callable[[], datetime]) -> None:
        self._work = work
        self._quarantine = quarantine
        self._holds = holds
        self._clock = clock
        self.counts = Counter[Metric]({RECORDS_HELD: 0, RECORDS_QUARANTINED: 0})

    def take_in(self, records: Sequence[KafkaRecord], retry: Retry) -> set[Origin]:
        """Process some records and return those to retry; raise QuarantineExceededError before any work."""
        now = self._clock()
        batch = sort_records(records, partial(self._work.read, now=now))
        failed = self._hold(batch.faulty, now)
        batch = batch.before(failed)
        self._check(batch.faulty, len(batch.good), now)
        try:
            if batch.good:
                undone = self._work.take_in(batch.good, retry)
            else:
                undone = set[Origin]()
                if batch.faulty:
                    retry.run(self._work.ask)
        except Retryable as error:
            # The unreadable records are retried as well: their letters are written then, not at every attempt.
            logger.warning("the batch is retried", reason=str(error))
            return {record.origin for record in records}
        # Records after a failure are retried with it, and their letters are written then.
        due = batch.before(undone).faulty
        return failed | undone | self._put_aside(due, len(batch.good) - len(undone), now)

    def put_aside(self, record: KafkaRecord, killer: Killer) -> set[Origin]:
        """Store the dead letter of a record that breaks the consumer, within the quarantine's limits."""
        now = self._clock()
        if self._work.has_done(record, killer, now):
            logger.error("a record ended its process after it had taken effect", reason=str(killer))
            return set()
        self._check([(record, killer)], 0, now)
        # No earlier write in this batch has shown that the record can be covered.
        self._work.ask()
        logger.error("a record breaks its consumer", reason=str(killer), exc_info=killer.__cause__)
        return self._put_aside([(record, killer)], 0, now)

    def _check(self, faulty: Sequence[Faulty], good: int, now: datetime) -> None:
        """Say what fails where it halts the consumer: no dead letter of such a batch says it."""
        try:
            self._quarantine.check(count_poison(faulty), good, now)
        except QuarantineExceededError:
            record, fault = next(one for one in faulty if isinstance(one[1], Poison))
            place = msgspec.structs.asdict(record.origin)
            logger.exception("a record of those that halt the consumer", reason=str(fault), **place, exc_info=fault)
            raise

    def _hold(self, faulty: Sequence[Faulty], now: datetime) -> set[Origin]:
        """Return the records to hold: those ahead, until their version was held for long enough."""
        ahead = [(record.origin, fault.unknown) for record, fault in faulty if isinstance(fault, Ahead)]
        over = self._holds.find_over({unknown for _, unknown in ahead}, now)
        held = {origin: unknown for origin, unknown in ahead if unknown not in over}
        self.counts[RECORDS_HELD] += len(held)
        if held:
            logger.warning("records of a newer release are held", records=len(held), unknown=sorted({*held.values()}))
        return set(held)

    def _put_aside(self, due: Sequence[Faulty], good: int, now: datetime) -> set[Origin]:
        """Store dead letters and cover their records; if either fails, the record is retried."""
        unstored = self._quarantine.write(due, now)
        stored = [one for one in due if one[0].origin not in unstored]
        try:
            self._work.cover(stored, now)
        except Retryable as error:
            logger.warning("records whose dead letters are stored are retried", reason=str(error))
            return {record.origin for record, _ in due}
        # Not before: a retried record is quarantined again, and must count against the allowance only once.
        self._quarantine.spend(count_poison(stored), good, now)
        self.counts[RECORDS_QUARANTINED] += len(stored)
        return unstored
