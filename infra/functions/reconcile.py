"""reconcile: compares the events that the brokers accepted with those that are stored, and reruns missing ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import TROUBLE
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from sluice.core.consumers import ACCOUNTED, RAW_EVENTS
from sluice.core.metrics import NEWLY_MISSING, OBJECTS_UNREADABLE, UNACCOUNTED_EVENTS
from sluice.edge.settings import ReconcileSettings

# Three runs: one may be missed, and a run that catches up takes longer.
NOTICE_MINUTES = 15


@dataclass(frozen=True)
class ReconcileProfile:
    """How often the ledger is reconciled, and how long after its commit an event counts as missing."""

    compute: Compute
    every_minutes: int
    archive_grace_seconds: int
    """How long until archive's rows or dead letters are in a file and counted."""
    aggregate_grace_seconds: int
    """aggregate covers its commits at once. Dead letters of records that were given up take longer."""
    rerun_seconds: int
    """How long a consumer may take to run records again."""
    reserve_seconds: int
    """A run begins no new work when less time is left."""
    statement_seconds: int

    def __post_init__(self) -> None:
        require(
            self.rerun_seconds + self.statement_seconds < self.reserve_seconds < self.compute.timeout_seconds,
            "reconcile must have time to begin work, and time to end it",
        )


class Reconcile(Function):
    """The function that keeps the ledger, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        base: Base,
        settings: ReconcileProfile,
        *,
        produce_deadline_seconds: int,
        consumers: Sequence[Function],
    ) -> None:
        require(
            {function.verb for function in consumers} == {consumer.name for consumer in ACCOUNTED},
            "reconcile must be able to rerun each consumer that accounts for every event",
        )
        network, buckets = base.network, base.lake.buckets
        super().__init__(
            scope,
            "reconcile",
            base,
            settings,
            reads=ReconcileSettings,
            facts={
                "kafka_cluster_arn": base.stream.cluster.attr_arn,
                # A setting of the connection to the brokers. reconcile produces nothing.
                "produce_deadline_seconds": produce_deadline_seconds,
            },
            uses=[
                buckets.raw.access(network.s3, reads=["raw/"], lists="raw/"),
                buckets.dead_letter.access(network.s3, reads=["dead_letters/"], lists="dead_letters/"),
                base.database.access("reconcile"),
                base.stream.reread(RAW_EVENTS, "reconcile", ACCOUNTED),
                *(function.access(network.lambdas) for function in consumers),
            ],
            libraries=["parquet"],
        )
        Schedule(self, every_minutes=settings.every_minutes)
        self.alarm(
            "unaccounted",
            self.own(UNACCOUNTED_EVENTS, minutes=NOTICE_MINUTES, statistic="Maximum"),
            # Without a comparison, no event is known to be accounted for.
            no_data=TROUBLE,
            means="Accepted events are missing in the raw store or in the numbers, and no dead letter holds them; or"
            " reconcile could compare nothing for 15 minutes. `sluice statement` names them. reconcile reruns those"
            " that Kafka still has.",
        )
        # An event that is lost for good keeps the alarm above on. This one reports the next loss.
        self.alarm(
            "newly-missing",
            self.own(NEWLY_MISSING, minutes=NOTICE_MINUTES, statistic="Maximum"),
            means="More accepted events than before are missing in the raw store or in the numbers."
            " `sluice statement` names them. reconcile reruns those that Kafka still has.",
        )
        self.alarm(
            "unreadable",
            self.own(OBJECTS_UNREADABLE, minutes=NOTICE_MINUTES, statistic="Maximum"),
            means="reconcile cannot read a raw file or a file of dead letters. Its log names the file. The events in it"
            " will count as missing, and are run again while Kafka has them.",
        )
