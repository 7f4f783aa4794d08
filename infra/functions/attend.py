"""attend: what time alone asks for of incidents, every minute, and what notify reports of its attempts."""

from dataclasses import dataclass

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from infra.stores import cache as names
from infra.stores.alerting import ATTEMPT_SECONDS
from sluice.core.metrics import INCIDENTS_HELD, MESSAGE_AGE
from sluice.edge.settings import AttendSettings

EVERY_MINUTES = 1
ATTEMPTS_TOGETHER, ATTEMPTS_WINDOW_SECONDS = 100, 5
LATE_SECONDS = 300


@dataclass(frozen=True)
class AttendProfile:
    """How long a run may take."""

    compute: Compute
    statement_seconds: int
    reserve_seconds: int
    """A run begins nothing when less time is left."""

    def __post_init__(self) -> None:
        require(self.compute.concurrency >= 3, "two batches of the queue at a time, and a run beside them")
        require(
            self.statement_seconds < self.reserve_seconds < self.compute.timeout_seconds,
            "attend must have time to begin a fleet, and time to end it",
        )
        require(
            6 * self.compute.timeout_seconds <= ATTEMPT_SECONDS,
            "a report must stay hidden for six timeouts of attend, or it is given up while attend is busy",
        )


class Attend(Function):
    """The function that attends to incidents, its schedule, and the event source of delivery attempts."""

    def __init__(self, scope: Construct, base: Base, settings: AttendProfile, *, dashboard: str) -> None:
        super().__init__(
            scope,
            "attend",
            base,
            settings,
            reads=AttendSettings,
            uses=[
                base.database.access("attend"),
                base.control_data.read(),
                base.cache.access("attend", names.PUBLISHED, names.WATCHED),
                base.alerting.publish(base.network.sns, dashboard=dashboard),
                base.alerting.take_attempts(),
            ],
        )
        Schedule(self, every_minutes=EVERY_MINUTES)
        lambda_.CfnEventSourceMapping(
            self,
            "Attempts",
            function_name=self.live.function_arn,
            event_source_arn=base.alerting.attempts.queue_arn,
            batch_size=ATTEMPTS_TOGETHER,
            maximum_batching_window_in_seconds=ATTEMPTS_WINDOW_SECONDS,
            function_response_types=["ReportBatchItemFailures"],
            # Two are the least that AWS allows.
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=2),
        )
        self.alarm(
            "unsent",
            self.own(MESSAGE_AGE, minutes=5, statistic="Maximum"),
            above=LATE_SECONDS,
            means="Messages about incidents wait for SNS. They are committed, and sent when it takes them."
            " One that it can never take is put aside, and counts for an hour. The function's log says why.",
        )
        self.alarm(
            "storm",
            self.own(INCIDENTS_HELD, minutes=15, statistic="Maximum"),
            means="A fleet has so many incidents that messages about further ones wait. `sluice alerts list` has them.",
        )
