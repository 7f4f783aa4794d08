"""Aggregate: accepted events become samples, the set that every number is computed from.

decode -> what each event brings -> one transaction -> remember what is in -> count; all but the transaction may fail
alone. A record that can never be read goes to the dead letters, and its neighbours go on.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.consumers import COUNTED, DUPLICATE, LATE
from sluice.core.errors import Killer, Retryable
from sluice.core.events.contracts import Contracts
from sluice.core.limits import Limits
from sluice.core.numbers.samples import Event, Unreadable, put_down, read_batch
from sluice.core.records import KafkaRecord, Origin, report_failures
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.broker import Broker
from sluice.edge.cache import CacheAwayError
from sluice.edge.context import Context, seconds_left
from sluice.edge.events.schemas import load_contracts
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import Consumer
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.numbers.counters import Counters
from sluice.edge.numbers.numbering import Numbering
from sluice.edge.numbers.samples import Effect, Samples
from sluice.edge.numbers.seen import Seen
from sluice.edge.patience import Patience
from sluice.edge.settings import AggregateSettings, BrokerSettings, CacheSettings, DatabaseSettings

logger = Logger()
metrics = Metrics()

CONSUMER = "aggregate"
LIMITS = Limits()


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    contracts: Contracts
    seen: Seen
    samples: Samples
    counters: Counters
    quarantine: Quarantine
    consumer: Consumer
    clock: Callable[[], datetime]


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = AggregateSettings.from_environ(os.environ)
    contracts = load_contracts()
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    connect = partial(
        database.connect, DatabaseSettings.from_environ(os.environ), answer_seconds=settings.transaction_seconds
    )
    brokers = BrokerSettings.from_environ(os.environ)
    allowance = SharedAllowance(shared, CONSUMER, settings.aggregate_concurrency)
    # A transaction for its sample; or a question, its dead letter, and a transaction that covers it.
    record_seconds = brokers.produce_deadline_seconds + 2 * (settings.transaction_seconds + database.CONNECT_SECONDS)
    record_seconds += database.ANSWER_SECONDS + database.CONNECT_SECONDS
    return Parts(
        contracts,
        Seen(shared),
        Samples(
            database.Database(connect, settings.transaction_seconds), Numbering(contracts.book.series), CONSUMER, LIMITS
        ),
        Counters(shared),
        Quarantine(Broker(brokers), settings.dead_letter_topic, CONSUMER, LIMITS.max_letter, allowance),
        Consumer(Attempts(shared, CONSUMER), settings.hold_seconds, record_seconds),
        lambda: datetime.now(UTC),
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Take one batch in and name what must come again."""
    return aggregate(event, build(), lambda: seconds_left(context))


def aggregate(event: dict[str, Any], parts: Parts, time_left: Callable[[], float]) -> dict[str, Any]:
    """Take a batch in; a record that failed is the first of its partition to come again."""
    work = Work(parts, Counter(), [])
    consumed = parts.consumer.consume(event, work, time_left)
    work.counts["RecordsFailed"] = len(consumed.failed)
    if consumed.halted:
        logger.error("aggregate is halted", reason=str(consumed.halted))
        work.counts["QuarantineExceeded"] = 1
    for name, count in work.counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    if work.oldest:
        # How old the oldest event is now that it can be seen.
        metrics.add_metric("OldestEventSeconds", MetricUnit.Seconds, (parts.clock() - min(work.oldest)).total_seconds())
    return report_failures(consumed.failed)


class Work(msgspec.Struct, frozen=True):
    """What aggregate does with records."""

    parts: Parts
    counts: Counter[str]
    oldest: list[datetime]

    def take_in(self, records: Sequence[KafkaRecord], patience: Patience) -> set[Origin]:
        """Take some records in, all of them or nothing; then put aside what cannot be read."""
        parts = self.parts
        batch = read_batch(records, parts.contracts, LIMITS, parts.clock())
        parts.quarantine.check(len(batch.unreadable), len(batch.events), parts.clock())
        try:
            effect = patience.persist(lambda: store(batch.events, parts))
        except Retryable as error:
            logger.warning("the batch comes again", reason=str(error))
            # So do the unreadable records: their letters are written then, and not at every try.
            return {record.origin for record in records}
        self._count(effect)
        unstored = put_aside(batch.unreadable, len(batch.events), parts)
        self.counts["RecordsQuarantined"] += len(batch.unreadable) - len(unstored)
        return unstored

    def put_aside(self, record: KafkaRecord, killer: Killer) -> set[Origin]:
        """Store the dead letter of a record that breaks aggregate."""
        now = self.parts.clock()
        self.parts.quarantine.check(1, 0, now)
        # Nothing was stored before it that would have shown whether its letter can be covered.
        self.parts.samples.ask()
        logger.error("a record breaks aggregate", reason=str(killer), exc_info=killer.__cause__)
        unstored = put_aside([put_down(record, killer, now)], 0, self.parts)
        self.counts["RecordsQuarantined"] += 1 - len(unstored)
        return unstored

    def _count(self, effect: Effect) -> None:
        self.counts["SamplesStored"] += effect.count(COUNTED)
        self.counts["EventsLate"] += effect.count(LATE)
        self.counts["EventsDuplicate"] += effect.count(DUPLICATE)
        if effect.events:
            self.oldest.append(min(event.received_at for event in effect.events))


def store(events: Sequence[Event], parts: Parts) -> Effect:
    """Store a batch's samples; what the cache remembers of them comes after the commit, and may fail."""
    if not events:
        # What is put aside next must be covered too: while the database is away not even its letters are written.
        parts.samples.ask()
    effect = parts.samples.add(events, parts.seen.suspects(events))
    try:
        parts.seen.mark(effect.events)
        parts.counters.add(effect.events)
    except CacheAwayError as error:
        logger.warning("the cache is away: live counters miss a batch", reason=str(error))
    return effect


def put_aside(unreadable: Sequence[Unreadable], good: int, parts: Parts) -> set[Origin]:
    """Store dead letters and cover their records; whatever could not be done for one, it comes again."""
    now = parts.clock()
    unstored = parts.quarantine.write([(one.record, one.poison) for one in unreadable], now)
    stored = [one for one in unreadable if one.record.origin not in unstored]
    try:
        parts.samples.bury(stored)
    except Retryable as error:
        logger.warning("records whose dead letters are stored come again", reason=str(error))
        return {one.record.origin for one in unreadable}
    # Not before: what comes again is put aside again, and is to be taken from the allowance once.
    parts.quarantine.spend(len(stored), good, now)
    return unstored
