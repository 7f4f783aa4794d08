"""A batch's way through a consumer, even if its records break the consumer.

count the attempt -> process records that are not suspects together -> process suspects one by one, each noted before it
is tried -> forget the attempt, since the process has survived it -> report the records to retry
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.failures.attempts import Attempt, by_partition
from sluice.core.failures.quarantine import QuarantineExceededError
from sluice.core.metrics import QUARANTINE_EXCEEDED, RECORDS_FAILED, RECORDS_HELD
from sluice.core.records import REDRIVE, RERUN, KafkaRecord, Origin, Partition, read_records, report_failures
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.intake import Intake, Work
from sluice.edge.failures.quarantine import Quarantine
from sluice.edge.failures.rejecting import Rejecting
from sluice.edge.metrics import record, record_all
from sluice.edge.retry import Retry

logger = Logger()

BRIEFLY = 2.0
"""How long a record tried alone waits for a service: a service outage is not the record's fault."""
PAUSE = 2.0
"""How long an invocation pauses after holding records; without it, they would be retried at once."""


class BatchConsumer:
    """Runs batches through the work of one consumer."""

    def __init__(
        self,
        work: Work[Any],
        attempts: Attempts,
        quarantine: Quarantine,
        holds: Holds,
        *,
        hold_seconds: float,
        record_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        briefly: float = BRIEFLY,
    ) -> None:
        self._work = work
        self._attempts = attempts
        self._quarantine = quarantine
        self._holds = holds
        self._retry = Retry(hold_seconds)
        self._record_retry = Retry(briefly)
        self._record_seconds = briefly + record_seconds
        """The longest time for a single record; none is begun when less time is left."""
        self._clock = clock
        self._sleep = sleep

    def consume(self, event: Mapping[str, Any], seconds_left: Callable[[], float]) -> dict[str, Any]:
        """Process a batch and report the first record of each partition to retry.

        An exception leaves the attempt open, like the death of the process.
        """
        places = by_partition(read_records(event))
        rejecting = Rejecting() if REDRIVE in event else None
        intake = Intake(self._work, rejecting or self._quarantine, rejecting or self._holds, self._clock)
        counted = self._attempts.of_rerun(event.get(RERUN))
        attempts = counted.begin(places)
        singly = {place: attempt for place, attempt in attempts.items() if attempt.singly}
        usual = [one for place, records in places.items() if place not in singly for one in records]
        failed: set[Origin] = set()
        halted: QuarantineExceededError | None = None
        if usual:
            try:
                failed |= intake.take_in(usual, self._retry)
            except QuarantineExceededError as error:
                halted = error
                failed |= {one.origin for one in usual}
        resumed: dict[Partition, int | None] = dict.fromkeys(attempts)
        for place, attempt in singly.items():
            rest, exceeded = self._one_by_one(places[place], attempt, intake, counted.mark, seconds_left)
            halted = exceeded or halted
            if rest is not None:
                failed.add(rest)
                resumed[place] = rest.offset if rest.offset <= attempt.until else None
        counted.end(resumed)
        # What a consumer rejects of a re-drive is neither held nor quarantined.
        record_all(({} if rejecting else intake.counts) | {RECORDS_FAILED: len(failed)})
        if halted:
            logger.error("the consumer is halted", reason=str(halted))
            record(QUARANTINE_EXCEEDED, 1)
        # The attempt is already forgotten: if the process dies during the pause, no record is suspected.
        if intake.counts[RECORDS_HELD] and seconds_left() > 2 * PAUSE:
            self._sleep(PAUSE)
        return report_failures(failed) | (rejecting.describe() if rejecting else {})

    def _one_by_one(
        self,
        records: Sequence[KafkaRecord],
        attempt: Attempt,
        intake: Intake,
        mark: Callable[[Origin], None],
        seconds_left: Callable[[], float],
    ) -> tuple[Origin | None, QuarantineExceededError | None]:
        """Try the records of a suspected batch alone; return the first one to retry, and what halted the batch."""
        for one in records:
            if one.origin.offset > attempt.until or seconds_left() < self._record_seconds:
                return one.origin, None
            try:
                failed = self._try(one, attempt, intake, mark)
            except Retryable:
                return one.origin, None
            except QuarantineExceededError as error:
                return one.origin, error
            if failed:
                return one.origin, None
        return None, None

    def _try(self, one: KafkaRecord, attempt: Attempt, intake: Intake, mark: Callable[[Origin], None]) -> set[Origin]:
        killer = attempt.convict(one.origin.offset)
        if killer is None:
            mark(one.origin)
            try:
                return intake.take_in([one], self._record_retry)
            except (Retryable, QuarantineExceededError):
                raise
            except Exception as error:  # noqa: BLE001 - the record was tried alone, so it is at fault
                killer = attempt.blame(error)
                killer.__cause__ = error
        return intake.put_aside(one, killer)
