"""reconcile: what the brokers accepted held against what is stored, and what is missing run again."""

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

# Three runs: one may be missed, and a run that catches up takes its time.
NOTICE_MINUTES = 15


@dataclass(frozen=True)
class ReconcileProfile:
    """How often the ledger is reconciled, and how long what was committed may be under way before it is missing."""

    compute: Compute
    every_minutes: int
    archive_grace_seconds: int
    """Until archive's rows are in a file and counted, or its dead letters are."""
    aggregate_grace_seconds: int
    """aggregate covers what it commits at once; dead letters of what was given up take a while."""
    rerun_seconds: int
    """How long a consumer may take for records that it is given again."""
    reserve_seconds: int
    """Nothing is begun when there is less time left."""
    statement_seconds: int

    def __post_init__(self) -> None:
        require(
            self.rerun_seconds + self.statement_seconds < self.reserve_seconds < self.compute.timeout_seconds,
            "reconcile must be able to end what it begins, and have time to begin something",
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
            "reconcile runs every consumer again that must account for every event",
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
                # Not used, it produces nothing: part of how brokers are reached.
                "produce_deadline_seconds": produce_deadline_seconds,
            },
            uses=[
                buckets.raw.access(network.s3, reads=["raw/"], lists=""),
                buckets.dead_letter.access(network.s3, reads=["dead_letters/"], lists=""),
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
            # While nothing is compared, no event is known to be accounted for.
            no_data=TROUBLE,
            means="Accepted events are missing in the raw store or in the numbers and are in no dead letter, or for a"
            " quarter of an hour nothing could be compared. `make statement` names them; what Kafka still has is run"
            " again by itself.",
        )
        # An event that is lost for good keeps the alarm above on. This one reports the next loss.
        self.alarm(
            "newly-missing",
            self.own(NEWLY_MISSING, minutes=NOTICE_MINUTES, statistic="Maximum"),
            means="More accepted events than before are missing in the raw store or in the numbers. `make statement`"
            " names them; what Kafka still has is run again by itself.",
        )
        self.alarm(
            "unreadable",
            self.own(OBJECTS_UNREADABLE, minutes=NOTICE_MINUTES, statistic="Maximum"),
            means="Something among the raw files or the dead letters cannot be read; the function's log names it. What"
            " it should tell of will be missing, and is run again while Kafka has it.",
        )
