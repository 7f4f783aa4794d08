"""resend: sends the events of raw files to replay-events, chunk by chunk."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.deployment import require
from sluice.core.consumers import REPLAY_EVENTS
from sluice.edge.settings import ResendSettings


@dataclass(frozen=True)
class ResendProfile:
    """The function that a replay's map runs for each chunk, and how fast it may be."""

    compute: Compute
    per_second: int
    """How many events all invocations together send a second: what live traffic leaves to the brokers and the database.
    """
    answer_seconds: int
    produce_deadline_seconds: int

    def __post_init__(self) -> None:
        require(self.per_second > 0, "a replay sends something")


class Resend(Function):
    """The function that reads raw files and sends their events again."""

    def __init__(self, scope: Construct, base: Base, settings: ResendProfile) -> None:
        super().__init__(
            scope,
            "resend",
            base,
            settings,
            reads=ResendSettings,
            uses=[
                base.lake.buckets.raw.access(base.network.s3, reads=["raw/"]),
                base.stream.produce(REPLAY_EVENTS),
                base.database.access("resend"),
            ],
            libraries=["parquet"],
        )
