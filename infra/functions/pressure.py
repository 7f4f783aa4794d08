"""pressure: every minute, computes from archive's backlog and the brokers' disks what ingest refuses."""

from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import UNKNOWN
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from infra.stores import cache as names
from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from sluice.core.consumers import ACCOUNTED, RAW_EVENTS
from sluice.core.metrics import DISK_UNKNOWN, PRESSURE_LEVEL
from sluice.edge.settings import PressureSettings

EVERY_MINUTES = 1


@dataclass(frozen=True)
class PressureProfile:
    """How long the function that measures pressure waits for the brokers, and how long its snapshot stays valid."""

    compute: Compute
    hold_seconds: int
    """How long it retries while the brokers do not answer."""
    snapshot_seconds: int

    def __post_init__(self) -> None:
        # Its last try may begin when the hold time ends: 26 requests, each with a timeout of 3 s.
        longest = self.hold_seconds + 80
        require(
            longest < self.compute.timeout_seconds,
            f"pressure may ask for {longest} s, and must report silent brokers before it is stopped",
        )


class Pressure(Function):
    """The function that measures pressure, and its schedule."""

    def __init__(
        self, scope: Construct, base: Base, settings: PressureProfile, *, produce_deadline_seconds: int
    ) -> None:
        super().__init__(
            scope,
            "pressure",
            base,
            settings,
            reads=PressureSettings,
            facts={
                "kafka_cluster": base.stream.cluster.cluster_name,
                "kafka_brokers": base.stream.brokers.count,
                "buffer_seconds": CONSUMER_RECORD_AGE_SECONDS,
                # A setting of the connection to the brokers. pressure produces nothing.
                "produce_deadline_seconds": produce_deadline_seconds,
            },
            uses=[
                base.stream.watch(RAW_EVENTS, ACCOUNTED),
                base.cache.access("pressure", names.PRESSURE),
                _disks(base),
            ],
        )
        Schedule(self, every_minutes=EVERY_MINUTES)
        self.alarm(
            "level",
            self.own(PRESSURE_LEVEL, minutes=1, statistic="Maximum"),
            times=5,
            # A run that cannot measure fails, and failures have an alarm of their own.
            no_data=UNKNOWN,
            means="archive's lag or the brokers' disk use is so high that ingest refuses part of the events.",
        )
        self.alarm(
            "disk-unknown",
            self.own(DISK_UNKNOWN, minutes=5),
            times=3,
            means="CloudWatch does not report the brokers' disk use: a full disk makes ingest refuse no events.",
        )


def _disks(base: Base) -> Access:
    """Let it read the disk metrics from CloudWatch. Metrics have no resource to name."""
    grant = iam.PolicyStatement(actions=["cloudwatch:GetMetricData"], resources=["*"])
    return Access(grants=[grant], reaches=[base.network.monitoring])
