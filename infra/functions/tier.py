"""tier: rollups from the database to files, once they are seldom looked at."""

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
    """How long rollups stay in the database, and how they leave it."""

    compute: Compute
    every_minutes: int
    minute_days: int
    hour_days: int
    slice_windows: int
    """How many windows in a row are moved at a time, those of one day at most."""
    reserve_seconds: int
    """How long moving them may take: a slice is not begun when there is less time left."""
    behind_hours: int
    """How far it may fall behind before an alarm is raised."""

    def __post_init__(self) -> None:
        require(self.reserve_seconds < self.compute.timeout_seconds, "a run must have time for a slice")
        # A day's minutes are moved as a whole, and dropped by the next run.
        require(
            self.minute_days >= 1 and self.hour_days > self.minute_days,
            "hours are computed from minutes, and stay for longer",
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
                # What takes longer than a slice may would be cut off with the function.
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
            # A run that ends before its time is no error and tells nothing; one may, and the next, but not all of them.
            times=3,
            no_data=TROUBLE,
            means=f"Rollups that should be in files are still in the database, {settings.behind_hours} h and more, or "
            "no run has come to its end for hours: it fills up. The function's log says what they wait for.",
        )
