"""aggregate: from Kafka to samples in PostgreSQL."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.consumer import ConsumerFunction, Failures, HoldingProfile
from infra.stores.cache import BATCHES, COUNTERS, SEEN
from infra.stores.database import CONNECT_SECONDS
from sluice.core.consumers import AGGREGATE, DEAD_LETTERS
from sluice.edge.settings import AggregateSettings


@dataclass(frozen=True, kw_only=True)
class AggregateProfile(HoldingProfile):
    """The consumer that writes to the database, and how long it waits for it."""

    transaction_seconds: int
    """How long one batch may take before its connection is cut."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # The samples, and what covers the dead letters.
        self.require_time("aggregate", 2 * (self.transaction_seconds + CONNECT_SECONDS))


class Aggregate(ConsumerFunction):
    """The function that takes events into the set of samples, and the event source that feeds it."""

    def __init__(self, scope: Construct, base: Base, settings: AggregateProfile) -> None:
        super().__init__(
            scope,
            AGGREGATE,
            base,
            settings,
            failures=Failures(
                base.lake.buckets.failed_batches,
                means="The numbers lack them, raw has them: `sluice replay plan --missing` plans the repair.",
            ),
            reads=AggregateSettings,
            uses=[
                base.stream.produce(DEAD_LETTERS),
                base.database.access(AGGREGATE.name),
                base.cache.access(AGGREGATE.name, BATCHES, SEEN, COUNTERS),
            ],
        )
