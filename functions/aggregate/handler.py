"""Aggregate: accepted events become samples, the set that every number is computed from.

decode -> what each event brings -> one transaction -> remember what is in -> count; all but the transaction may fail
alone. A record that can never be read goes to the dead letters, and its neighbours go on.
"""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.contracts import Contracts
from sluice.core.errors import Retryable
from sluice.core.limits import Limits
from sluice.core.quarantine import check_budget
from sluice.core.records import Origin, read_records, report_failures
from sluice.core.samples import COUNTED, DUPLICATE, LATE, Event, Unreadable, read_batch
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.broker import Broker
from sluice.edge.cache import CacheAwayError
from sluice.edge.counters import Counters
from sluice.edge.numbering import Numbering
from sluice.edge.patience import Patience
from sluice.edge.quarantine import Quarantine
from sluice.edge.samples import Effect, Samples
from sluice.edge.schemas import load_contracts
from sluice.edge.seen import Seen
from sluice.edge.session import Session
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
    patience: Patience
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
    broker = Broker(BrokerSettings.from_environ(os.environ))
    return Parts(
        contracts,
        Seen(shared),
        Samples(Session(connect, settings.transaction_seconds), Numbering(contracts.book.series), CONSUMER, LIMITS),
        Counters(shared),
        Quarantine(broker, settings.dead_letter_topic, CONSUMER, LIMITS.max_letter),
        Patience(settings.hold_seconds),
        lambda: datetime.now(UTC),
    )


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take one batch in and name what must come again."""
    return aggregate(event, build())


def aggregate(event: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Take a batch in, all of it or nothing; then put aside what cannot be read."""
    batch = read_batch(read_records(event), parts.contracts, LIMITS, parts.clock())
    check_budget(len(batch.unreadable), len(batch.events) + len(batch.unreadable))
    try:
        effect = parts.patience.persist(lambda: take_in(batch.events, parts))
    except Retryable as error:
        logger.warning("the batch comes again", reason=str(error))
        # So do the unreadable records: their letters are written then, and not at every try.
        failed = {one.origin for one in batch.events} | {one.record.origin for one in batch.unreadable}
    else:
        failed = put_aside(batch.unreadable, parts)
        count(effect, parts.clock())
        metrics.add_metric("RecordsQuarantined", MetricUnit.Count, len(batch.unreadable))
    metrics.add_metric("RecordsFailed", MetricUnit.Count, len(failed))
    return report_failures(failed)


def take_in(events: Sequence[Event], parts: Parts) -> Effect:
    """Store a batch's samples; what the cache remembers of them comes after the commit, and may fail."""
    effect = parts.samples.add(events, parts.seen.suspects(events))
    try:
        parts.seen.mark(effect.events)
        parts.counters.add(effect.events)
    except CacheAwayError as error:
        logger.warning("the cache is away: live counters miss a batch", reason=str(error))
    return effect


def put_aside(unreadable: Sequence[Unreadable], parts: Parts) -> set[Origin]:
    """Store dead letters and cover their records; whatever could not be done for one, it comes again."""
    unstored = parts.quarantine.put_aside([(one.record, one.poison) for one in unreadable], parts.clock())
    stored = [one for one in unreadable if one.record.origin not in unstored]
    try:
        parts.samples.bury(stored)
    except Retryable as error:
        logger.warning("records whose dead letters are stored come again", reason=str(error))
        return {one.record.origin for one in unreadable}
    return unstored


def count(effect: Effect, now: datetime) -> None:
    """Say what became of a batch, and how old its oldest event is now that it can be seen."""
    metrics.add_metric("SamplesStored", MetricUnit.Count, effect.count(COUNTED))
    metrics.add_metric("EventsLate", MetricUnit.Count, effect.count(LATE))
    metrics.add_metric("EventsDuplicate", MetricUnit.Count, effect.count(DUPLICATE))
    if effect.events:
        oldest = min(event.received_at for event in effect.events)
        metrics.add_metric("OldestEventSeconds", MetricUnit.Seconds, (now - oldest).total_seconds())
