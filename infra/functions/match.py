"""match: finds ids that recur with other bytes, once an hour."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import TROUBLE
from infra.building_blocks.schedule import Schedule
from infra.deployment import HOUR, require
from sluice.core.consumers import DEAD_LETTERS
from sluice.core.metrics import COPIES_UNSETTLED, MATCH_BEHIND
from sluice.edge.matching.tables import IDS
from sluice.edge.settings import MatchSettings


@dataclass(frozen=True)
class MatchProfile:
    """How often ids are compared, and how far that may fall behind."""

    compute: Compute
    every_minutes: int
    reserve_seconds: int
    """How long the search among the ids of one batch may take: it begins none when less time is left."""
    statement_seconds: int
    behind_hours: int
    """How long a file may wait before an alarm is raised."""
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        require(
            self.statement_seconds < self.reserve_seconds < self.compute.timeout_seconds,
            "match must have time to begin work, and time to end it",
        )
        require(self.compute.concurrency == 1, "two runs at once would compare the same files")


class Match(Function):
    """The function that finds recurring ids, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: MatchProfile) -> None:
        network, buckets = base.network, base.lake.buckets
        super().__init__(
            scope,
            "match",
            base,
            settings,
            reads=MatchSettings,
            facts={
                "match_reserve_seconds": settings.reserve_seconds,
                "match_statement_seconds": settings.statement_seconds,
            },
            uses=[
                buckets.raw.access(network.s3, reads=["raw/"]),
                buckets.control.access(network.s3, reads=[IDS], writes=[IDS]),
                base.stream.produce(DEAD_LETTERS),
                base.database.access("match"),
            ],
            libraries=["parquet"],
        )
        Schedule(self, every_minutes=settings.every_minutes)
        self.alarm(
            "unsettled",
            self.own(COPIES_UNSETTLED, minutes=60, statistic="Maximum"),
            means="Events came with the ids of earlier ones, and match could not settle them: a fleet has more than"
            " 1,000 of them in a run, or their samples are too old, or raw cannot be read, or aggregate gave one of"
            " them up. Or match fell behind by more than 26 hours, and events were never compared. Ids more than two"
            " hours apart may count twice. A replay of the hours of both counts the first alone.",
        )
        self.alarm(
            "behind",
            self.own(MATCH_BEHIND, minutes=60, statistic="Maximum"),
            above=settings.behind_hours * HOUR,
            # A run that stops early is no error and writes no metric. Two in a row may stop early, but not more.
            times=3,
            no_data=TROUBLE,
            means=f"Ids of stored events have not been compared for {settings.behind_hours} h, or match has completed"
            " no run for hours. Ids that recur may count twice. The function's log says what it waits for. If it waits"
            " for nothing, there are more events than one invocation at a time can compare: the room's page says how"
            " many that are.",
        )
