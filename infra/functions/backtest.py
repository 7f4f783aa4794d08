"""backtest: which incidents rules would have opened over stored days, in the order in which it is asked."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.schedule import Schedule
from infra.deployment import HOUR, require
from infra.functions.learn import LearnProfile
from sluice.core.metrics import BACKTEST_WAIT, BACKTESTS_FAILED
from sluice.edge.settings import BacktestSettings

EVERY_MINUTES = 1
LEASE_SECONDS = 60
"""How much longer than a run may last it is believed to go on."""
LATE_SECONDS = 6 * HOUR


@dataclass(frozen=True)
class BacktestProfile:
    """How much of a fleet a backtest may read."""

    compute: Compute
    seconds: int
    """How long a backtest may read devices."""
    windows: int
    """How many minutes of devices it may read."""
    statement_seconds: int
    reserve_seconds: int
    """A run begins no backtest when less time is left."""

    def __post_init__(self) -> None:
        require(
            self.seconds + self.statement_seconds <= self.reserve_seconds < self.compute.timeout_seconds,
            "backtest must have time to begin a backtest, and time to end it",
        )


class Backtest(Function):
    """The function that tests rules, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: BacktestProfile, *, learn: LearnProfile) -> None:
        super().__init__(
            scope,
            "backtest",
            base,
            settings,
            reads=BacktestSettings,
            facts={
                "backtest_lease_seconds": settings.compute.timeout_seconds + LEASE_SECONDS,
                "learn_every_seconds": learn.every_seconds,
                "learn_learning_seconds": learn.learning_seconds,
                "learn_days": learn.days,
            },
            uses=[
                base.database.access("backtest"),
                base.lake.buckets.rollups.access(base.network.s3, reads=["rollups/"]),
            ],
            libraries=["parquet"],
        )
        Schedule(self, every_minutes=EVERY_MINUTES)
        self.alarm(
            "failed",
            self.own(BACKTESTS_FAILED, minutes=15),
            means="A backtest ended without a result: three runs of it failed or died, or this release cannot read its"
            " rule. A rule has no promise then. `sluice rules report` and the function's log say why.",
        )
        self.alarm(
            "behind",
            self.own(BACKTEST_WAIT, minutes=60, statistic="Maximum"),
            above=LATE_SECONDS,
            means=f"A backtest has waited for {LATE_SECONDS // HOUR} h and more: runs fail, or many rules were saved"
            " at once. Rules judge all the same.",
        )
