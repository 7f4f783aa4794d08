"""deadletter: moves dead letters from Kafka to S3, where Athena can query them."""

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.consumer import ConsumerFunction, ConsumerProfile
from sluice.core.consumers import DEADLETTER
from sluice.edge.settings import DeadLetterSettings


class Deadletter(ConsumerFunction):
    """The function that keeps dead letters, and an event source that never gives one up."""

    def __init__(self, scope: Construct, base: Base, settings: ConsumerProfile) -> None:
        super().__init__(
            scope,
            DEADLETTER,
            base,
            settings,
            # There is nowhere further to send what fails here: it stays in Kafka, and alarms say so.
            failures=None,
            reads=DeadLetterSettings,
            uses=[base.lake.buckets.dead_letter.access(base.network.s3, writes=["dead_letters/"])],
        )
