"""The way of a batch through a consumer, whatever its records do to it.

count the attempt -> take in together what is under no suspicion -> the suspected one by one, each written down before
it is tried -> forget the attempt: it has ended by its own word, even if some of it must come again
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from sluice.core.errors import Killer, Retryable
from sluice.core.failures.attempts import Attempt, by_partition, part
from sluice.core.failures.quarantine import QuarantineExceededError
from sluice.core.records import KafkaRecord, Origin, read_records, read_rerun
from sluice.edge.failures.attempts import Attempts
from sluice.edge.patience import Patience

BRIEFLY = 2.0
"""How long a record that goes alone waits for a service: what it waits for is not what is wrong with it."""


class Work(Protocol):
    """What a consumer does with records; both return which of them must come again."""

    def take_in(self, records: Sequence[KafkaRecord], patience: Patience) -> set[Origin]:
        """Do the consumer's part for some records, and put aside the poison among them."""

    def put_aside(self, record: KafkaRecord, killer: Killer) -> set[Origin]:
        """Store the dead letter of a record that breaks the consumer, within what may be put aside."""


class Consumed(msgspec.Struct, frozen=True):
    """What must come again, and why it was halted if it was."""

    failed: set[Origin]
    halted: QuarantineExceededError | None = None


class Consumer:
    """Takes batches through the work of one consumer."""

    def __init__(
        self, attempts: Attempts, hold_seconds: float, record_seconds: float, briefly: float = BRIEFLY
    ) -> None:
        self._attempts = attempts
        self._patience = Patience(hold_seconds)
        self._record_patience = Patience(briefly)
        self._record_seconds = briefly + record_seconds
        """The longest that a single record may take: none is begun when there is less time left."""

    def consume(self, event: Mapping[str, Any], work: Work, seconds_left: Callable[[], float]) -> Consumed:
        """Take a batch in. Whatever else is raised leaves the attempt open, as the death of the process does."""
        places = by_partition(read_records(event))
        counted = self._attempts.of_rerun(read_rerun(event))
        attempts = counted.begin(places)
        usual, singly = part(places, attempts)
        failed: set[Origin] = set()
        halted: QuarantineExceededError | None = None
        if usual:
            try:
                failed |= work.take_in(usual, self._patience)
            except QuarantineExceededError as error:
                halted = error
                failed |= {record.origin for record in usual}
        resumed: dict[tuple[str, int], int | None] = dict.fromkeys(attempts)
        for place in singly:
            attempt = attempts[place]
            attempting = partial(self._try, attempt=attempt, work=work, mark=counted.mark)
            try:
                rest = self._one_by_one(places[place], attempt, attempting, seconds_left)
            except _Halt as halt:
                rest, halted = halt.rest, halt.error
            if rest is not None:
                failed.add(rest)
                resumed[place] = rest.offset if rest.offset <= attempt.until else None
        counted.end(resumed)
        return Consumed(failed, halted)

    def _one_by_one(
        self,
        records: Sequence[KafkaRecord],
        attempt: Attempt,
        attempting: Callable[[KafkaRecord], set[Origin]],
        seconds_left: Callable[[], float],
    ) -> Origin | None:
        """Try the records of a suspected batch alone; return the first that must come again."""
        for record in records:
            if record.origin.offset > attempt.until or seconds_left() < self._record_seconds:
                return record.origin
            try:
                failed = attempting(record)
            except Retryable:
                return record.origin
            except QuarantineExceededError as error:
                raise _Halt(record.origin, error) from error
            if failed:
                return record.origin
        return None

    def _try(self, record: KafkaRecord, attempt: Attempt, work: Work, mark: Callable[[Origin], None]) -> set[Origin]:
        killer = attempt.convict(record.origin.offset)
        if killer is None:
            mark(record.origin)
            try:
                return work.take_in([record], self._record_patience)
            except (Retryable, QuarantineExceededError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this record's: it was tried alone
                killer = attempt.blame(error)
                killer.__cause__ = error
        return work.put_aside(record, killer)


class _Halt(Exception):
    def __init__(self, rest: Origin, error: QuarantineExceededError) -> None:
        super().__init__(str(error))
        self.rest = rest
        self.error = error
