"""aggregate: from Kafka to samples in PostgreSQL."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.event_source import ConsumerProfile, EventSource, Subscription
from infra.building_blocks.function import Function
from infra.deployment import require
from infra.stores.cache import BATCHES, COUNTERS, SEEN
from infra.stores.database import CONNECT_SECONDS
from sluice.core.consumers import AGGREGATE, DEAD_LETTERS
from sluice.edge.settings import AggregateSettings


@dataclass(frozen=True, kw_only=True)
class AggregateProfile(ConsumerProfile):
    """The consumer that writes to the database, and how long it waits for it."""

    transaction_seconds: int
    """How long one batch may take before its connection is cut."""
    hold_seconds: int
    """How long an invocation tries again while the database is away, before its batch is given back."""
    version_hold_seconds: int
    """How long a record of a newer version waits for the release that can read it, before it is a dead letter."""
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        super().__post_init__()
        # The last try of the samples may begin when the time to hold is over; then dead letters are stored and covered.
        longest = self.hold_seconds + self.produce_deadline_seconds + 2 * (self.transaction_seconds + CONNECT_SECONDS)
        require(
            longest < self.compute.timeout_seconds,
            f"aggregate may wait for {longest} s, and must be able to say what comes again before it is stopped",
        )


class Aggregate(Construct):
    """The function that takes events into the set of samples, and the event source that feeds it."""

    def __init__(self, scope: Construct, base: Base, settings: AggregateProfile) -> None:
        super().__init__(scope, "Aggregate")
        verb = AGGREGATE.name
        subscription = Subscription(base.stream, AGGREGATE, base.lake.buckets.failed_batches)
        self.function = Function(
            self,
            verb,
            base=base,
            compute=settings.compute,
            synchronous=False,
            reads=AggregateSettings,
            settings=[settings],
            uses=[
                subscription.access(),
                base.stream.produce(DEAD_LETTERS),
                base.database.access(verb),
                base.cache.access(verb, BATCHES, SEEN, COUNTERS),
            ],
        )
        EventSource(self, base, self.function, subscription, settings)
