"""replay: plans replays, and does the steps of their state machine."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from infra.functions.resend import ResendProfile
from sluice.core.consumers import RAW_EVENTS, RECOUNT, REPLAY_EVENTS
from sluice.edge.replay.planning import LISTS
from sluice.edge.settings import ReplaySettings


@dataclass(frozen=True)
class ReplayProfile:
    """The function behind a replay's steps, and how the machine goes from one to the next."""

    compute: Compute
    every_minutes: int
    """How often it looks for replays whose execution was stopped."""
    chunk_mib: int
    """How much of raw one invocation of resend reads."""
    fixed_seconds: int
    """How long a replay takes however few events it has; plans say it."""
    wait_seconds: int
    """How long the machine waits before it asks again whether raw, recount or roll is done."""
    statement_seconds: int
    reserve_seconds: int
    """A step begins no new work when less time is left."""
    slow_after_minutes: int
    """How long a replay may take before an alarm is raised."""
    timeout_minutes: int

    def __post_init__(self) -> None:
        require(
            self.statement_seconds < self.reserve_seconds < self.compute.timeout_seconds,
            "a step must have time to begin work, and time to end it",
        )


class Replay(Function):
    """The function that plans replays and does their steps, and the schedule that ends stopped ones."""

    def __init__(
        self,
        scope: Construct,
        base: Base,
        settings: ReplayProfile,
        *,
        resend: ResendProfile,
        raw_days: int,
        machine: Access,
    ) -> None:
        network, buckets = base.network, base.lake.buckets
        super().__init__(
            scope,
            "replay",
            base,
            settings,
            reads=ReplaySettings,
            facts={
                "raw_days": raw_days,
                "resend_per_second": resend.per_second,
                # A setting of the connection to the brokers. replay produces nothing.
                "produce_deadline_seconds": resend.produce_deadline_seconds,
            },
            uses=[
                buckets.raw.access(network.s3, reads=["raw/"], lists="raw/"),
                buckets.control.access(network.s3, reads=[LISTS], writes=[LISTS]),
                buckets.rollups.access(
                    network.s3,
                    reads=["staging/", "rollups/"],
                    writes=["staging/", "rollups/", "manifests/"],
                    deletes=["rollups/"],
                ),
                base.database.access("replay"),
                base.stream.watch(RAW_EVENTS, [RECOUNT]),
                base.stream.watch(REPLAY_EVENTS, [RECOUNT]),
                machine,
            ],
            libraries=["parquet"],
        )
        Schedule(self, every_minutes=settings.every_minutes)
