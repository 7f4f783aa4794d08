"""redrive: reads dead letters for admins, and sends those that a fix makes pass to raw-events again."""

from collections.abc import Sequence
from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from sluice.core.consumers import ACCOUNTED, RAW_EVENTS
from sluice.core.metrics import REDRIVE_STANDSTILL, REDRIVES_FAILED
from sluice.edge.settings import RedriveSettings

EVERY_MINUTES = 1
OBJECT_SECONDS = 60
"""How long an object's letters may take: a batch of deadletter, in pieces of some hundred."""


@dataclass(frozen=True)
class RedriveProfile:
    """How fast dead letters are re-driven, and how long they are read for an answer."""

    compute: Compute
    per_second: int
    """How many fixed events are sent a second: what live traffic leaves to the consumers."""
    settle_seconds: int
    """How long after its failure a letter may still be on its way to S3."""
    answer_seconds: int
    """How long an admin's question may read letters."""
    give_seconds: int
    """How long a consumer may take to process records of its letters again."""
    produce_deadline_seconds: int
    statement_seconds: int
    reserve_seconds: int
    """A run begins no object when less time is left."""
    standstill_seconds: int
    """How long a re-drive may make no progress before an alarm: its events wait for archive's files."""

    def __post_init__(self) -> None:
        require(self.per_second > 0, "a re-drive sends something")
        require(
            OBJECT_SECONDS + self.produce_deadline_seconds < self.reserve_seconds < self.compute.timeout_seconds,
            "redrive must have time to begin an object, and time to end it",
        )
        require(
            self.give_seconds + self.statement_seconds < self.reserve_seconds,
            "redrive must have time to give a consumer its records, and to write what it took",
        )
        require(self.compute.concurrency > 1, "a question is answered while a run is under way")


class Redrive(Function):
    """The function that re-drives dead letters, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        base: Base,
        settings: RedriveProfile,
        *,
        dead_letter_days: int,
        consumers: Sequence[Function],
    ) -> None:
        require(
            {function.verb for function in consumers} == {consumer.name for consumer in ACCOUNTED},
            "redrive must be able to give letters back to each consumer that accounts for every event",
        )
        super().__init__(
            scope,
            "redrive",
            base,
            settings,
            synchronous=True,
            reads=RedriveSettings,
            facts={
                "dead_letter_days": dead_letter_days,
                "kafka_cluster_arn": base.stream.cluster.attr_arn,
            },
            uses=[
                base.lake.buckets.dead_letter.access(base.network.s3, reads=["dead_letters/"], lists="dead_letters/"),
                base.stream.produce(RAW_EVENTS),
                base.database.access("redrive"),
                *(function.access(base.network.lambdas) for function in consumers),
            ],
        )
        Schedule(self, every_minutes=EVERY_MINUTES)
        self.alarm(
            "failed",
            self.own(REDRIVES_FAILED, minutes=15),
            means="A re-drive ended as failed: its events were not accounted for, its letters could not be sent, or its"
            " fleet is archived or at home elsewhere. `sluice dead-letters redrives` names it and says why.",
        )
        self.alarm(
            "standstill",
            self.own(REDRIVE_STANDSTILL, minutes=15, statistic="Maximum"),
            above=settings.standstill_seconds,
            means=f"A re-drive has dealt with no letters for {settings.standstill_seconds} s and more: it cannot send,"
            " or its events are not accounted for. After seven hours it ends as failed. `sluice dead-letters redrives"
            " REDRIVE` says what it waits for.",
        )
