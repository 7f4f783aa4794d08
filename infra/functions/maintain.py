"""maintain: the database's partitions, floors and retention, once an hour."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.schedule import Schedule
from infra.deployment import HOUR, require
from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from sluice.core.limits import Limits
from sluice.core.metrics import PARTITIONS_OVERDUE, SAMPLE_AGE
from sluice.edge.settings import MaintainSettings

# A reader may put off a drop for a run or two; half a day of them is too long.
OVERDUE_PARTITIONS = 6


@dataclass(frozen=True)
class MaintainProfile:
    """How far ahead the database is prepared, and how long it keeps what."""

    compute: Compute
    every_minutes: int
    partitions_ahead_hours: int
    sample_hours: int
    waiting_sample_hours: int
    """At most, where windows still wait to be rolled from them: what the disk must hold."""
    change_hours: int
    """How long a reader of the change feed may be away and miss nothing."""
    outcome_days: int
    sighting_days: int
    summary_days: int
    """Of days; shorter windows go to Parquet."""
    lock_seconds: int

    def __post_init__(self) -> None:
        require(
            self.sample_hours * HOUR > 2 * (CONSUMER_RECORD_AGE_SECONDS + Limits().late.total_seconds()),
            "samples must outlive the oldest event that can still come, twice, or windows are rolled from what is left",
        )
        require(self.waiting_sample_hours >= self.sample_hours, "waiting makes samples stay longer, not shorter")
        require(
            self.partitions_ahead_hours * 60 >= 10 * self.every_minutes,
            "partitions must exist for longer than it takes to notice that no run makes them",
        )
        require(self.change_hours > 2, "a place in the feed is believed for an hour less than changes are kept")
        require(self.lock_seconds >= 2, "a shorter wait ends before the server moves its own vacuum out of the way")


class Maintain(Function):
    """The function that keeps the database in shape, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: MaintainProfile) -> None:
        super().__init__(
            scope,
            "maintain",
            base,
            settings,
            reads=MaintainSettings,
            # One statement may take most of a run, and is rolled back rather than cut off.
            facts={"statement_seconds": settings.compute.timeout_seconds // 2},
            uses=[base.database.access("maintain")],
        )
        Schedule(self, every_minutes=settings.every_minutes)
        self.alarm(
            "overdue",
            self.own(PARTITIONS_OVERDUE, minutes=60, statistic="Maximum"),
            above=OVERDUE_PARTITIONS,
            means="Partitions of samples cannot be dropped, because a reader holds them: the disk fills up.",
        )
        self.alarm(
            "waiting",
            self.own(SAMPLE_AGE, minutes=60, statistic="Maximum"),
            # The floor is a full hour, and a run may be missed.
            above=(settings.sample_hours + 3) * HOUR,
            means=f"Samples stay because roll has not rolled them. After {settings.waiting_sample_hours} h they go.",
        )
