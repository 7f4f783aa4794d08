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

# A reader may delay a drop for a run or two. Half a day is too long.
OVERDUE_PARTITIONS = 6


@dataclass(frozen=True)
class MaintainProfile:
    """How far ahead partitions are made, and how long the database keeps each kind of row."""

    compute: Compute
    every_minutes: int
    partitions_ahead_hours: int
    sample_hours: int
    waiting_sample_hours: int
    """At most how long samples stay while windows wait to be rolled from them. The disk must hold that much."""
    change_hours: int
    """How long a reader of the change feed may be offline and miss nothing."""
    outcome_days: int
    sighting_days: int
    summary_days: int
    """How long day windows stay. tier moves shorter windows to Parquet."""
    lock_seconds: int

    def __post_init__(self) -> None:
        require(
            self.sample_hours * HOUR > 2 * (CONSUMER_RECORD_AGE_SECONDS + Limits().late.total_seconds()),
            "samples must stay twice as long as an event can be late, or windows are rolled from a part of them",
        )
        require(
            self.waiting_sample_hours >= self.sample_hours, "samples that wait for roll stay at least as long as others"
        )
        require(
            self.partitions_ahead_hours * 60 >= 10 * self.every_minutes,
            "partitions must exist for longer than it takes to notice that no run makes them",
        )
        require(self.change_hours > 2, "a cursor of the feed is valid for an hour less than changes are kept")
        require(
            self.lock_seconds >= 2, "a shorter wait ends before the server cancels the autovacuum that holds the lock"
        )


class Maintain(Function):
    """The function that maintains the database, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: MaintainProfile) -> None:
        super().__init__(
            scope,
            "maintain",
            base,
            settings,
            reads=MaintainSettings,
            # One statement may take most of a run. The server rolls it back before the function's timeout.
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
            # The floor is a full hour, and one run may be missed.
            above=(settings.sample_hours + 3) * HOUR,
            means="Samples stay because roll has not rolled them. maintain drops them"
            f" after {settings.waiting_sample_hours} h.",
        )
