"""archive: from Kafka to Firehose."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.event_source import ConsumerProfile, EventSource, Subscription
from infra.building_blocks.function import Function
from infra.deployment import require
from infra.stores.cache import BATCHES
from sluice.core.consumers import ARCHIVE, DEAD_LETTERS
from sluice.edge.settings import ArchiveSettings

ROUND_SECONDS = 24
"""What a batch may take to be sent once: four calls at most, each given up after 6 s."""


@dataclass(frozen=True, kw_only=True)
class ArchiveProfile(ConsumerProfile):
    """The consumer that writes to the delivery stream, and how long it waits for it."""

    hold_seconds: int
    """How long an invocation sends again what the delivery stream did not take, before it is given back."""
    version_hold_seconds: int
    """How long a record of a newer version waits for the release that can read it, before it is a dead letter."""
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        super().__post_init__()
        # The last round may begin when the time to hold is over; then dead letters are stored.
        longest = self.hold_seconds + ROUND_SECONDS + self.produce_deadline_seconds
        require(
            longest < self.compute.timeout_seconds,
            f"archive may wait for {longest} s, and must be able to say what comes again before it is stopped",
        )


class Archive(Construct):
    """The function that turns records into rows, and the event source that feeds it."""

    def __init__(self, scope: Construct, base: Base, settings: ArchiveProfile) -> None:
        super().__init__(scope, "Archive")
        verb = ARCHIVE.name
        subscription = Subscription(base.stream, ARCHIVE, base.lake.buckets.failed_batches)
        self.function = Function(
            self,
            verb,
            base=base,
            compute=settings.compute,
            synchronous=False,
            reads=ArchiveSettings,
            settings=[settings],
            uses=[
                subscription.access(),
                base.stream.produce(DEAD_LETTERS),
                base.lake.delivery.access(base.network.firehose),
                base.cache.access(verb, BATCHES),
            ],
        )
        EventSource(self, base, self.function, subscription, settings)
