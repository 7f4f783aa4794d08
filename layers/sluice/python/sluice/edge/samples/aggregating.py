"""The work of aggregate: accepted events become samples, from which every number is computed.

read the events -> one transaction -> remember the stored events -> count; all but the transaction may fail alone
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.consumers import COUNTED, DUPLICATE, LATE
from sluice.core.errors import Fault
from sluice.core.events.contracts import Contracts
from sluice.core.failures.sorting import Faulty
from sluice.core.limits import Limits
from sluice.core.metrics import EVENTS_DUPLICATE, EVENTS_LATE, OLDEST_EVENT, SAMPLES_STORED
from sluice.core.records import KafkaRecord, Origin
from sluice.core.samples.events import Event, put_down, read_event
from sluice.edge.cache import CacheAwayError
from sluice.edge.metrics import record
from sluice.edge.retry import Retry
from sluice.edge.samples.counters import Counters
from sluice.edge.samples.duplicate_hints import DuplicateHints
from sluice.edge.samples.storing import Effect, Samples

logger = Logger()


class Aggregating(msgspec.Struct, frozen=True):
    """The work of aggregate."""

    contracts: Contracts
    limits: Limits
    seen: DuplicateHints
    samples: Samples
    counters: Counters
    clock: Callable[[], datetime]

    def read(self, record: KafkaRecord, now: datetime) -> Event:
        """Read an event."""
        return read_event(record, self.contracts, self.limits, now)

    def take_in(self, records: Sequence[tuple[Origin, Event]], retry: Retry) -> set[Origin]:
        """Store events, all of them or none."""
        effect = retry.run(lambda: self._store([event for _, event in records]))
        for metric, outcome in ((SAMPLES_STORED, COUNTED), (EVENTS_LATE, LATE), (EVENTS_DUPLICATE, DUPLICATE)):
            record(metric, effect.count(outcome))
        received = [event.received_at for event in effect.events if not event.redriven]
        if received:
            record(OLDEST_EVENT, (self.clock() - min(received)).total_seconds())
        return set()

    def ask(self) -> None:
        """Raise Retryable while the database is down."""
        self.samples.ask()

    def has_done(self, record: KafkaRecord, fault: Fault, now: datetime) -> bool:
        """Return whether a record was counted before it ended the process."""
        return self.samples.has(put_down(record, fault, now))

    def cover(self, records: Sequence[Faulty], now: datetime) -> None:
        """Cover records whose dead letters are stored."""
        self.samples.bury([put_down(one, fault, now) for one, fault in records])

    def _store(self, events: Sequence[Event]) -> Effect:
        """Store samples, then update the cache, which may fail: the samples are committed."""
        effect = self.samples.add(events, self.seen.suspects(events))
        try:
            self.seen.mark(effect.events)
            self.counters.add(effect.counted)
        except CacheAwayError as error:
            logger.warning("the cache is down: live counters miss a batch", reason=str(error))
        return effect
