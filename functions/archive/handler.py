"""Archive: accepted events become rows of the raw table.

decode -> row with the event as sent -> pack -> delivery stream; only what was not taken is tried again.
A record that can never become a row goes to the dead letters, and its neighbours go on.
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

from sluice.core.archive.packing import pack_rows
from sluice.core.archive.rows import Row, make_row
from sluice.core.errors import Killer, Poison
from sluice.core.events.contracts import Contracts
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin, comes_again, report_failures
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.archive.delivery import ANSWER_SECONDS, Delivery
from sluice.edge.broker import Broker
from sluice.edge.context import Context, seconds_left
from sluice.edge.events.schemas import load_contracts
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import Consumer
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.patience import Patience
from sluice.edge.settings import ArchiveSettings, BrokerSettings, CacheSettings

logger = Logger()
metrics = Metrics()

CONSUMER = "archive"
LIMITS = Limits()


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    contracts: Contracts
    delivery: Delivery
    quarantine: Quarantine
    consumer: Consumer
    clock: Callable[[], datetime]


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = ArchiveSettings.from_environ(os.environ)
    brokers = BrokerSettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    allowance = SharedAllowance(shared, CONSUMER, settings.archive_concurrency)
    # A row is one call, and a dead letter may follow it.
    record_seconds = aws.CONNECT_SECONDS + ANSWER_SECONDS + brokers.produce_deadline_seconds
    return Parts(
        load_contracts(),
        Delivery(aws.client("firehose", answer_seconds=ANSWER_SECONDS), settings.delivery_stream),
        Quarantine(Broker(brokers), settings.dead_letter_topic, CONSUMER, LIMITS.max_letter, allowance),
        Consumer(Attempts(shared, CONSUMER), settings.hold_seconds, record_seconds),
        lambda: datetime.now(UTC),
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Archive one batch and name what must come again."""
    return archive(event, build(), lambda: seconds_left(context))


def archive(event: dict[str, Any], parts: Parts, time_left: Callable[[], float]) -> dict[str, Any]:
    """Archive a batch; a record that failed is the first of its partition to come again."""
    work = Work(parts, Counter())
    consumed = parts.consumer.consume(event, work, time_left)
    work.counts["RecordsFailed"] = len(consumed.failed)
    if consumed.halted:
        logger.error("archive is halted", reason=str(consumed.halted))
        work.counts["QuarantineExceeded"] = 1
    for name, count in work.counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    return report_failures(consumed.failed)


class Work(msgspec.Struct, frozen=True):
    """What archive does with records."""

    parts: Parts
    counts: Counter[str]

    def take_in(self, records: Sequence[KafkaRecord], patience: Patience) -> set[Origin]:
        """Deliver the rows of some records, then put aside what can never become one."""
        now = self.parts.clock()
        rows: list[tuple[Origin, Row]] = []
        poison: list[tuple[KafkaRecord, Poison]] = []
        for record in records:
            try:
                rows.append((record.origin, make_row(record, self.parts.contracts, LIMITS)))
            except Poison as error:
                poison.append((record, error))
        self.parts.quarantine.check(len(poison), len(rows), now)
        undelivered = self.parts.delivery.deliver(list(pack_rows(rows)), patience)
        failed = {origin for one in undelivered for origin in one.pack.origins}
        if undelivered:
            logger.warning("rows were not taken", packs=len(undelivered), reason=undelivered[0].reason)
        # What lies behind a failure comes again with it: its letter is written then, and not at every try.
        due = [one for one in poison if not comes_again(one[0].origin, failed)]
        self.counts["RowsArchived"] += len(rows) - len(failed)
        unstored = self.parts.quarantine.put_aside(due, len(rows) - len(failed), now)
        self.counts["RecordsQuarantined"] += len(due) - len(unstored)
        return failed | unstored

    def put_aside(self, record: KafkaRecord, killer: Killer) -> set[Origin]:
        """Store the dead letter of a record that breaks archive."""
        now = self.parts.clock()
        self.parts.quarantine.check(1, 0, now)
        logger.error("a record breaks archive", reason=str(killer), exc_info=killer.__cause__)
        unstored = self.parts.quarantine.put_aside([(record, killer)], 0, now)
        self.counts["RecordsQuarantined"] += 1 - len(unstored)
        return unstored
