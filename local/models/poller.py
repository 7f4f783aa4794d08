"""One poller of an event source mapping: it gathers, invokes, and moves the group's offsets only by what succeeded."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from local.models.config import MappingConfig
from local.models.invoke_client import Answer, NotInvoked
from local.models.kafka_event import PAYLOAD_BYTES, Record, event, unprocessed
from local.models.on_failure import RETRIES_EXHAUSTED, TOO_LARGE, TOO_OLD, Discard

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0

#: Lambda backs off exponentially and does not say how; here the longest pause is short, since a laptop is watched.
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0

#: What CloudWatch has of a mapping: events that failed and are retried, and those that were given up, with or without
#: a place to go.
FAILED, DELIVERED, DROPPED = "FailedInvokeEventCount", "OnFailureDestinationDeliveredEventCount", "DroppedEventCount"

#: What Lambda silently makes of endless retries where a mapping has a destination.
RETRIES_WITH_DESTINATION = 10


class Source(Protocol):
    """A consumer in the mapping's group."""

    def poll(self, count: int, seconds: float) -> Sequence[Record]:
        """Up to so many records; fewer when the time is over."""

    def pause(self, partitions: Iterable[int]) -> None:
        """Stops fetching from partitions that stay assigned."""

    def resume(self, partitions: Iterable[int]) -> None:
        """Fetches from them again."""

    def commit(self, offsets: dict[int, int]) -> None:
        """Moves the group's offsets: by partition, the next record to read."""


class Invoke(Protocol):
    """The function's invocation; raises NotInvoked where the function did not run."""

    def __call__(self, payload: bytes) -> Answer: ...


class Deliver(Protocol):
    """Puts a batch that was given up where the mapping sends failures; raises DeliveryFailed where it cannot."""

    def __call__(self, records: Sequence[Record], payload: bytes, discard: Discard) -> None: ...


class Count(Protocol):
    """Adds events to a metric that CloudWatch has of the mapping."""

    def __call__(self, metric: str, events: int) -> None: ...


class DeliveryFailed(Exception):
    """The destination did not take a batch; it must be tried again before offsets move."""


@dataclass(frozen=True)
class Batch:
    """Records that go together, and what was tried with them already."""

    records: tuple[Record, ...]
    attempts: int = 0
    failures: int = 0
    """Of any kind, throttles too; they space the tries."""
    due: float = 0.0
    discard: Discard | None = None
    """Set once the batch is given up: it is then delivered, not invoked."""

    @property
    def partitions(self) -> set[int]:
        return {record.partition for record in self.records}


class Poller:
    """Gathers, invokes and commits; partitions of a batch that failed wait for it while the others go on."""

    def __init__(
        self,
        mapping: MappingConfig,
        bootstrap: str,
        source: Source,
        invoke: Invoke,
        deliver: Deliver,
        count: Count,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._mapping = mapping
        self._bootstrap = bootstrap
        self._source = source
        self._invoke = invoke
        self._deliver = deliver
        self._count = count
        self._clock = clock
        self._left: deque[Record] = deque()
        self._held: list[Batch] = []
        self._gathered: list[Record] = []
        self._paused: set[int] = set()
        self.counts: Counter[str] = Counter()

    def step(self) -> None:
        """Handles one batch, or waits a while for one."""
        batch = self._due() or self._gather()
        if batch is not None:
            self._process(batch)

    def revoked(self, partitions: Iterable[int]) -> None:
        """Forgets what another poller reads from now on."""
        gone = set(partitions)
        self._left = deque(record for record in self._left if record.partition not in gone)
        self._gathered = [record for record in self._gathered if record.partition not in gone]
        self._paused -= gone
        kept = []
        for batch in self._held:
            records = tuple(record for record in batch.records if record.partition not in gone)
            if records:
                kept.append(replace(batch, records=records))
        self._held = kept

    @property
    def held_partitions(self) -> set[int]:
        """Partitions that wait for a batch to succeed."""
        return {partition for batch in self._held for partition in batch.partitions}

    def _due(self) -> Batch | None:
        now = self._clock()
        for batch in self._held:
            if batch.due <= now:
                self._held.remove(batch)
                return batch
        return None

    def _gather(self) -> Batch | None:
        """What did not fit before, or a first record and what follows it within the window."""
        waiting, self._left = self._left, deque()
        full = self._add(waiting)
        if not self._gathered:
            full = self._add(self._source.poll(1, self._patience()))
        if self._gathered:
            closes = self._clock() + self._mapping.window_seconds
            while not full and (missing := self._mapping.batch_size - len(self._gathered)):
                remaining = closes - self._clock()
                full = self._add(self._source.poll(missing, max(0.0, remaining))) or remaining <= 0
        batch, self._gathered = Batch(tuple(self._gathered)), []
        return batch if batch.records else None

    def _patience(self) -> float:
        if not self._held:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(0.0, min(batch.due for batch in self._held) - self._clock()))

    def _add(self, records: Iterable[Record]) -> bool:
        """Takes what may go now and says whether the batch is full; the rest waits, in its order.

        A record may not go before one of its own partition that waits or is being retried.
        """
        behind = {record.partition for record in self._left} | self.held_partitions
        size = sum(record.payload_bytes for record in self._gathered)
        full = False
        for record in records:
            if record.partition not in behind:
                full = full or len(self._gathered) >= self._mapping.batch_size
                full = full or (bool(self._gathered) and size + record.payload_bytes > PAYLOAD_BYTES)
            if full or record.partition in behind:
                behind.add(record.partition)
                self._left.append(record)
            else:
                self._gathered.append(record)
                size += record.payload_bytes
        return full

    def _process(self, batch: Batch) -> None:
        if batch.discard is not None:
            self._give_up(batch, batch.discard)
            return
        batch = self._without_expired(batch)
        if not batch.records:
            return
        payload = event(batch.records, self._mapping.cluster_arn, self._bootstrap)
        if len(batch.records) == 1 and batch.records[0].payload_bytes > PAYLOAD_BYTES:
            self._give_up(batch, Discard(TOO_LARGE, batch.attempts))
            return
        try:
            answer = self._invoke(payload)
        except NotInvoked as reason:
            # Not the records' fault: it counts against nothing but their age.
            log.info("%s: not invoked: %s", self._mapping.function_arn, reason)
            self.counts["not_invoked"] += 1
            self._hold(batch)
            return
        self.counts["invocations"] += 1
        self._settle(replace(batch, attempts=batch.attempts + 1), answer)

    def _settle(self, batch: Batch, answer: Answer) -> None:
        failed: Sequence[Record] = batch.records if answer.failed else ()
        if self._mapping.partial_failures and not answer.failed:
            failed = unprocessed(answer.payload, batch.records)
        self.counts["records"] += len(batch.records) - len(failed)
        rest = replace(batch, records=tuple(failed))
        self._advance(batch, rest)
        if not rest.records:
            return
        self.counts["function_errors" if answer.failed else "partial_failures"] += 1
        self._count(FAILED, len(rest.records))
        if self._retries_left(batch):
            self._hold(rest)
        else:
            self._give_up(rest, Discard(RETRIES_EXHAUSTED, batch.attempts, answer.request_id, answer.failed))

    def _retries_left(self, batch: Batch) -> bool:
        allowed = self._mapping.maximum_retries
        if allowed < 0 and self._mapping.failure_bucket is not None:
            allowed = RETRIES_WITH_DESTINATION
        return allowed < 0 or batch.attempts <= allowed

    def _without_expired(self, batch: Batch) -> Batch:
        if self._mapping.maximum_age_seconds < 0:
            return batch
        oldest = (self._clock() - self._mapping.maximum_age_seconds) * 1000
        expired = tuple(record for record in batch.records if record.timestamp < oldest)
        if not expired:
            return batch
        young = tuple(record for record in batch.records if record.timestamp >= oldest)
        self._give_up(replace(batch, records=expired), Discard(TOO_OLD, batch.attempts))
        waiting = self.held_partitions
        # Where the expired ones could not be delivered, those behind them wait.
        self._left.extendleft(record for record in reversed(young) if record.partition in waiting)
        return replace(batch, records=tuple(record for record in young if record.partition not in waiting))

    def _give_up(self, batch: Batch, discard: Discard) -> None:
        payload = event(batch.records, self._mapping.cluster_arn, self._bootstrap)
        try:
            self._deliver(batch.records, payload, discard)
        except DeliveryFailed:
            log.exception("%s: the on-failure destination did not take a batch", self._mapping.uuid)
            self._hold(replace(batch, discard=discard))
            return
        self.counts["discarded"] += len(batch.records)
        self._count(DELIVERED if self._mapping.failure_bucket else DROPPED, len(batch.records))
        self._advance(batch, replace(batch, records=()))

    def _hold(self, batch: Batch) -> None:
        """Keeps a batch for a later try; its partitions wait with it."""
        pause = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(batch.failures, 16))
        self._held.append(replace(batch, failures=batch.failures + 1, due=self._clock() + pause))
        if new := batch.partitions - self._paused:
            self._paused |= new
            self._source.pause(new)

    def _advance(self, batch: Batch, rest: Batch) -> None:
        """Commits what is done and lets partitions with nothing left to retry go on."""
        offsets = {record.partition: record.offset + 1 for record in batch.records}
        for record in reversed(rest.records):
            offsets[record.partition] = record.offset
        unmoved = {record.partition: record.offset for record in reversed(batch.records)}
        moved = {partition: offset for partition, offset in offsets.items() if offset != unmoved[partition]}
        if moved:
            self._source.commit(moved)
        if free := self._paused & batch.partitions - rest.partitions - self.held_partitions:
            self._paused -= free
            self._source.resume(free)
