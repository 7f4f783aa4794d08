"""deadletter: from Kafka to objects that can be queried, and the end of every failure."""

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.event_source import ConsumerProfile, EventSource, Subscription
from infra.building_blocks.function import Function
from sluice.core.consumers import DEADLETTER
from sluice.edge.settings import DeadLetterSettings


class Deadletter(Construct):
    """The function that keeps dead letters, and an event source that never gives one up."""

    def __init__(self, scope: Construct, base: Base, settings: ConsumerProfile) -> None:
        super().__init__(scope, "Deadletter")
        # There is nowhere further to send what fails here: it stays in Kafka, and alarms say so.
        subscription = Subscription(base.stream, DEADLETTER, failures=None)
        self.function = Function(
            self,
            DEADLETTER.name,
            base=base,
            compute=settings.compute,
            synchronous=False,
            reads=DeadLetterSettings,
            uses=[
                subscription.access(),
                base.lake.buckets.dead_letter.access(base.network.s3, writes=["dead_letters/"]),
            ],
        )
        EventSource(self, base, self.function, subscription, settings)
