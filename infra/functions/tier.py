"""tier: moves older rollups, which are seldom read, from the database to files."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import TROUBLE
from infra.building_blocks.schedule import Schedule
from infra.deployment import HOUR, require
from sluice.core.metrics import TIER_BEHIND
from sluice.edge.settings import TierSettings


@dataclass(frozen=True)
class TierProfile:
    """How long rollups stay in the database, and how they move to files."""

    compute: Compute
    every_minutes: int
    minute_days: int
    hour_days: int
    slice_windows: int
    """How many consecutive windows one slice moves, at most those of one day."""
    reserve_seconds: int
    """How long a slice may take. A run begins no slice when less time is left."""
    behind_hours: int
    """How far it may fall behind before an alarm is raised."""

    def __post_init__(self) -> None:
        require(self.reserve_seconds < self.compute.timeout_seconds, "a run must have time for a slice")
        # A day's minutes are moved as a whole, and dropped by the next run.
        require(
            self.minute_days >= 1 and self.hour_days > self.minute_days,
            "hours are computed from minutes, and must stay longer than minutes",
        )


class Tier(Function):
    """The function that moves rollups, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: TierProfile, *, rollup_days: int) -> None:
        super().__init__(
            scope,
            "tier",
            base,
            settings,
            reads=TierSettings,
            facts={
                "rollup_days": rollup_days,
                # A statement that takes longer than a slice may take would end with the function.
                "tier_statement_seconds": settings.reserve_seconds,
            },
            uses=[
                base.lake.buckets.rollups.access(
                    base.network.s3, reads=["staging/", "rollups/"], writes=["staging/", "rollups/", "manifests/"]
                ),
                base.database.access("tier"),
            ],
            libraries=["parquet"],
        )
        Schedule(self, every_minutes=settings.every_minutes)
        self.alarm(
            "behind",
            self.own(TIER_BEHIND, minutes=60, statistic="Maximum"),
            above=settings.behind_hours * HOUR,
            # A run that stops early is no error and writes no metric. Two in a row may stop early, but not more.
            times=3,
            no_data=TROUBLE,
            means=f"tier is {settings.behind_hours} h or more late in moving rollups to files, or has completed no run"
            " for hours. The database fills up. The function's log says what the rollups wait for.",
        )
