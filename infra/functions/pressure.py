"""pressure: from what is unread and from the brokers' disks to what ingest refuses, every minute."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.building_blocks.operations import NOTHING_HAPPENED, UNKNOWN, counted
from infra.building_blocks.schedule import Schedule
from infra.network import HTTPS_PORT
from infra.settings import CONSUMER_RECORD_AGE_SECONDS, RAW_EVENTS
from infra.stores.cache import PORT as CACHE_PORT
from infra.stores.cache import Cache
from infra.stores.stream import IAM_PORT, Stream

CONSUMERS = ("archive", "aggregate")
EVERY_MINUTES = 1


class Pressure(Construct):
    """The function that measures pressure, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        stream: Stream,
        cache: Cache,
    ) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.pressure
        self.function = Function(
            self,
            "pressure",
            base=base,
            compute=settings.compute,
            synchronous=False,
            further_layers=[base.layers.database],
            environment={
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "KAFKA_CLUSTER": stream.cluster.cluster_name,
                "KAFKA_BROKERS": str(base.deployment.profile.brokers.count),
                "RAW_EVENTS_TOPIC": RAW_EVENTS,
                # Part of how to reach the brokers; it produces nothing.
                "PRODUCE_DEADLINE_SECONDS": str(base.deployment.profile.ingest.produce_deadline_seconds),
                "BUFFER_SECONDS": str(CONSUMER_RECORD_AGE_SECONDS),
                "SNAPSHOT_SECONDS": str(settings.snapshot_seconds),
                "HOLD_SECONDS": str(settings.hold_seconds),
                **cache.address,
                "CACHE_USER": cache.user_of("pressure"),
                "CACHE_AUTH": "iam",
            },
            grants=[
                *stream.may_watch(RAW_EVENTS, groups=CONSUMERS),
                cache.may_connect_as("pressure"),
                # Metrics have no resources to name.
                iam.PolicyStatement(actions=["cloudwatch:GetMetricData"], resources=["*"]),
            ],
            reaches=[
                Reach(stream.security_group, IAM_PORT),
                Reach(cache.security_group, CACHE_PORT),
                Reach(base.network.monitoring, HTTPS_PORT),
            ],
        )
        Schedule(self, "Schedule", base=base, function=self.function, every_minutes=EVERY_MINUTES)
        own = {"service": "pressure"}
        base.operations.alarm(
            self,
            "level",
            metric=counted(base.deployment.metrics, "PressureLevel", own, minutes=1, statistic="Maximum"),
            above=0,
            times=5,
            # A run that cannot tell fails, and that has an alarm of its own.
            no_data=UNKNOWN,
            means="Consumers fall so far behind, or disks fill so far, that ingest refuses a part of what is sent.",
        )
        base.operations.alarm(
            self,
            "disk-unknown",
            metric=counted(base.deployment.metrics, "DiskUnknown", own, minutes=5),
            above=0,
            times=3,
            no_data=NOTHING_HAPPENED,
            means="CloudWatch does not say how full the brokers' disks are: nothing is refused for them.",
        )
