"""roll: continuously rolls samples into minutes, hours and days."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import UNKNOWN
from infra.building_blocks.schedule import Schedule
from infra.deployment import HOUR, require
from infra.stores.database import CONNECT_SECONDS
from sluice.core.consumers import AGGREGATE, RAW_EVENTS
from sluice.core.metrics import WATERMARK_AGE, WINDOWS_BELOW_HORIZON
from sluice.edge.settings import RollSettings

EVERY_MINUTES = 1
"""The shortest rate of a schedule. A run loops through it and into the next one."""


@dataclass(frozen=True)
class RollProfile:
    """When windows close, how long they wait before they are rolled again, and how long one run lasts."""

    compute: Compute
    grace_seconds: int
    """How much longer a window stays open for events that its devices send late."""
    straggler_seconds: int
    """How long a minute that changed after it was rolled waits for more changes before roll computes it again."""
    hour_seconds: int
    """The same for an hour."""
    day_seconds: int
    """The same for a day."""
    shards: int
    """At most how many shards one transaction locks when it rolls minutes."""
    loop_seconds: int
    """How long a run looks for work."""
    pause_seconds: float
    answer_seconds: int
    """How long one transaction may take before its connection is cut."""
    behind_seconds: int
    """How far the watermark may fall behind before an alarm is raised."""

    def __post_init__(self) -> None:
        # Its last step may begin when the loop ends: three transactions and two queries.
        longest = self.loop_seconds + 5 * (self.answer_seconds + CONNECT_SECONDS)
        require(
            longest < self.compute.timeout_seconds,
            f"roll may run for {longest} s, and must report its progress before its timeout",
        )
        require(
            self.loop_seconds < 60 * self.compute.concurrency,
            "a run starts every minute: enough earlier runs must have ended by then",
        )
        require(
            max(self.hour_seconds, self.day_seconds) <= HOUR,
            "an hour that just closed must not wait as long as one that was rolled before",
        )
        require(self.answer_seconds > 1, "the server gives up a second before the function does")


class Roll(Function):
    """The function that rolls windows, and the schedule that keeps it running."""

    def __init__(self, scope: Construct, base: Base, settings: RollProfile, *, produce_deadline_seconds: int) -> None:
        super().__init__(
            scope,
            "roll",
            base,
            settings,
            reads=RollSettings,
            # Ingest's deadline: how long after reception an event may still be stored.
            facts={"produce_deadline_seconds": produce_deadline_seconds},
            uses=[base.stream.watch(RAW_EVENTS, [AGGREGATE]), base.database.access("roll")],
        )
        Schedule(self, every_minutes=EVERY_MINUTES)
        self.alarm(
            "behind",
            self.own(WATERMARK_AGE, minutes=5, statistic="Maximum"),
            above=settings.behind_seconds,
            # A run that cannot report its lag fails, and failures have an alarm of their own.
            no_data=UNKNOWN,
            means=f"Windows close more than {settings.behind_seconds} s late: events wait to be aggregated.",
        )
        self.alarm(
            "below-horizon",
            self.own(WINDOWS_BELOW_HORIZON, minutes=5),
            means="Late samples came for windows whose other samples are deleted. roll did not roll them again.",
        )
