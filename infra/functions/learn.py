"""learn: what is usual for each series, every few minutes from rollups."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import TROUBLE
from infra.building_blocks.schedule import Schedule
from infra.deployment import DAY, HOUR, require
from infra.stores.cache import PUBLISHED, STATISTICS_TO_PUBLISH, WATCHED_TO_LEARN
from infra.stores.control_data import Rules
from sluice.core.consumers import ALERT_EVENTS
from sluice.core.metrics import DEVICE_TYPES_AGE, STATISTICS_AGE
from sluice.core.samples.shards import SHARDS
from sluice.edge.settings import LearnSettings

EVERY_MINUTES = 1
STALE_TIMES = 4
"""So many periods without new statistics of a shard are trouble."""


@dataclass(frozen=True)
class LearnProfile:
    """How often statistics are published, for how many shards at a time, and what is learned from."""

    compute: Compute
    every_seconds: int
    shards: int
    """At most how many shards a run publishes: they take turns, so that each run has a part of the work."""
    learning_seconds: int
    """How long a device must have been there before it is judged by its baseline."""
    days: int
    types_seconds: int
    """How often the directory is asked for the types of a fleet's devices."""
    lookup_seconds: int
    """How long a page of them may take."""
    statement_seconds: int
    reserve_seconds: int
    """A run begins no shard when less time is left."""
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        require(
            self.statement_seconds + max(self.produce_deadline_seconds, self.lookup_seconds)
            < self.reserve_seconds
            < self.compute.timeout_seconds,
            "learn must have time to begin a shard, and time to end it",
        )
        require(self.compute.concurrency == 1, "two runs at once would work on the same shards")
        require(
            self.shards * self.every_seconds >= SHARDS * EVERY_MINUTES * 60,
            "all shards must have their turn within the time after which their statistics are due again",
        )


class Learn(Function):
    """The function that learns what is usual, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: LearnProfile, *, rules: Rules, lookup: Function) -> None:
        super().__init__(
            scope,
            "learn",
            base,
            settings,
            reads=LearnSettings,
            uses=[
                base.database.access("learn"),
                base.stream.produce(ALERT_EVENTS),
                base.control_data.read_rules(rules),
                base.cache.access("learn", PUBLISHED, STATISTICS_TO_PUBLISH, WATCHED_TO_LEARN),
                lookup.access(base.network.lambdas),
            ],
        )
        Schedule(self, every_minutes=EVERY_MINUTES)
        self.alarm(
            "behind",
            self.own(STATISTICS_AGE, minutes=5, statistic="Maximum"),
            above=min(STALE_TIMES * settings.every_seconds, HOUR),
            times=3,
            no_data=TROUBLE,
            means="Statistics of some devices are old, or no run ends: detect still uses them, nothing judges levels"
            " and silence. The function's log says what it waits for.",
        )
        self.alarm(
            "types-old",
            self.own(DEVICE_TYPES_AGE, minutes=5, statistic="Maximum"),
            above=DAY,
            times=3,
            means="For a day learn has not read all device types of some fleet. Rules for a type"
            " go on with the last known ones. The function's log says what the directory answers.",
        )
