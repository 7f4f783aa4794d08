"""archive: from Kafka to Firehose."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.consumer import ConsumerFunction, Failures, HoldingProfile
from infra.stores.cache import BATCHES
from sluice.core.consumers import ARCHIVE, DEAD_LETTERS
from sluice.edge.settings import ArchiveSettings

ROUND_SECONDS = 24
"""What a batch may take to be sent once: four calls at most, each given up after 6 s."""


@dataclass(frozen=True, kw_only=True)
class ArchiveProfile(HoldingProfile):
    """The consumer that writes to the delivery streams, and how long it waits for them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_time("archive", ROUND_SECONDS)


class Archive(ConsumerFunction):
    """The function that turns records into rows, and the event source that feeds it."""

    def __init__(self, scope: Construct, base: Base, settings: ArchiveProfile) -> None:
        super().__init__(
            scope,
            ARCHIVE,
            base,
            settings,
            failures=Failures(base.lake.buckets.failed_batches, means="Raw lacks them, the numbers have them."),
            reads=ArchiveSettings,
            uses=[
                base.stream.produce(DEAD_LETTERS),
                base.lake.delivery.access(base.network.firehose),
                base.cache.access(ARCHIVE.name, BATCHES),
            ],
        )
