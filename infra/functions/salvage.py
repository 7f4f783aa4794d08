"""salvage: turns records that AWS services gave up into dead letters, from their files in buckets."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import TROUBLE
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from sluice.core.consumers import DEAD_LETTERS
from sluice.core.metrics import PENDING_AGE
from sluice.edge.settings import SalvageSettings

EVERY_MINUTES = 1
FAILED, UNCONVERTED, SALVAGED = "aws/lambda/", "errors/", "salvaged/"


@dataclass(frozen=True)
class SalvageProfile:
    """The function that turns records that AWS services gave up into dead letters."""

    compute: Compute
    reserve_seconds: int
    """How long one object may take. A run begins no object when less time is left."""
    waiting_seconds: int
    """How long an object may wait before an alarm is raised."""
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        require(self.reserve_seconds < self.compute.timeout_seconds, "a run must have time for an object")
        require(
            self.compute.timeout_seconds <= 5 * 60,
            "a longer run keeps others from starting, and the alarm takes that for no runs",
        )


class Salvage(Function):
    """The function that empties the buckets that no other function reads, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: SalvageProfile) -> None:
        super().__init__(
            scope,
            "salvage",
            base,
            settings,
            reads=SalvageSettings,
            uses=[
                *(
                    bucket.access(base.network.s3, lists=waiting, reads=[waiting], deletes=[waiting], writes=[SALVAGED])
                    for bucket, waiting in (
                        (base.lake.buckets.failed_batches, FAILED),
                        (base.lake.buckets.raw, UNCONVERTED),
                    )
                ),
                base.stream.produce(DEAD_LETTERS),
            ],
        )
        base.lake.delivery.read_by(self)
        Schedule(self, every_minutes=EVERY_MINUTES)
        self.alarm(
            "waiting",
            self.own(PENDING_AGE, minutes=15, statistic="Maximum"),
            above=settings.waiting_seconds,
            # A run that cannot list the buckets writes no metric.
            no_data=TROUBLE,
            means=f"Records that were given up have waited in a bucket for {settings.waiting_seconds} s or more, and"
            " are in no dead letter; or salvage cannot list the bucket. Its log says why.",
        )
