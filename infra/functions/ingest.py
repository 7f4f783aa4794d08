"""ingest: from the API to Kafka."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.api.door import KEY_SECONDS, Door, Keys, Throttle
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.deployment import require
from infra.stores import cache as names
from sluice.core import metrics
from sluice.core.consumers import DEAD_LETTERS, RAW_EVENTS
from sluice.edge.settings import IngestSettings

UNSTORED_PERCENT = 1
SMALL_FROM_REQUESTS = 36_000
"""Requests an hour from which their size matters: ten a second cost some 30 USD a month."""
SMALL_BY = 1.25
"""How many times smaller than the minimum requests are when the alarm fires: a few rejected events are no reason."""


@dataclass(frozen=True)
class Throttles:
    """The throttles of the routes that take events."""

    events: Throttle
    readings: Throttle
    activity: Throttle


@dataclass(frozen=True)
class IngestProfile:
    """The function behind the routes that take events, and how long it may wait for Kafka."""

    compute: Compute
    started: int
    """How many environments stay started, so that devices of a quiet fleet do not wait for a start; 0 is free."""
    shift_minutes: int
    """For how long a tenth of the requests meets a new release. The alarm on unstored events takes five minutes."""
    throttles: Throttles
    produce_deadline_seconds: int
    minimum_events_per_request: float
    """What the contract asks of devices, on average over an hour: each request is billed."""

    def __post_init__(self) -> None:
        require(
            KEY_SECONDS + self.produce_deadline_seconds < self.compute.timeout_seconds,
            "ingest must have time to answer after its produce deadline",
        )
        require(
            0 <= 2 * self.started <= self.compute.concurrency,
            "environments of two releases stay started while one shifts, and no more than may run",
        )


class Ingest(Function):
    """The function that authenticates, validates, produces and answers."""

    def __init__(self, scope: Construct, base: Base, settings: IngestProfile, *, keys: Keys) -> None:
        super().__init__(
            scope,
            "ingest",
            base,
            settings,
            synchronous=True,
            started=settings.started,
            shift_minutes=settings.shift_minutes,
            reads=IngestSettings,
            settings=[keys],
            uses=[
                base.stream.produce(RAW_EVENTS, DEAD_LETTERS),
                base.control_data.read(),
                base.cache.access("ingest", names.PUBLISHED, names.QUOTAS, names.PRESSURE),
            ],
        )
        self.door = Door(
            self.node.id,
            self.live,
            {
                "POST /v1/events": settings.throttles.events,
                "POST /v1/readings": settings.throttles.readings,
                "POST /v1/activity": settings.throttles.activity,
            },
        )
        self.alarm(
            "unstored",
            self._percent_unstored(),
            above=UNSTORED_PERCENT,
            times=5,
            rolls_back=True,
            means=f"More than {UNSTORED_PERCENT} % of events cannot be stored: devices get `retry` for them.",
        )
        self.alarm(
            "small-requests",
            self._smallness(settings.minimum_events_per_request),
            above=SMALL_BY,
            means=f"Devices send fewer than {settings.minimum_events_per_request:g} events in a request, on average"
            " over an hour. Each request is billed: see docs/cost.md.",
        )
        self.alarm(
            "refusing",
            self.own(metrics.REFUSED_FOR_PRESSURE, minutes=1),
            times=5,
            means="ingest refuses events under pressure: the buffer or a broker's disk fills up, or producing is slow.",
        )
        self.alarm(
            "uninformed",
            self.own(metrics.PRESSURE_UNKNOWN, minutes=1),
            times=5,
            means="ingest has no valid pressure snapshot, and refuses no events because of pressure.",
        )

    def _percent_unstored(self) -> cloudwatch.IMetric:
        """Compute the share of unstored events. The API's own metrics do not show it: each answer is a valid 429."""
        counts = {
            "stored": metrics.EVENTS_ACCEPTED,
            "rejected": metrics.EVENTS_REJECTED,
            "unstored": metrics.EVENTS_TO_RETRY,
        }
        return cloudwatch.MathExpression(
            # Each is written only when there are some.
            expression="100 * FILL(unstored, 0) / (FILL(stored, 0) + FILL(rejected, 0) + FILL(unstored, 0))",
            using_metrics={name: self.own(metric, minutes=1) for name, metric in counts.items()},
            period=Duration.minutes(1),
        )

    def _smallness(self, minimum: float) -> cloudwatch.IMetric:
        """Compute how many times smaller than the minimum requests are. One without accepted events does not count.

        ingest writes the count once for each request, so its average is the size of a request.
        """
        return cloudwatch.MathExpression(
            expression=f"IF(requests > {SMALL_FROM_REQUESTS}, {minimum:g} / size, 0)",
            using_metrics={
                "requests": self.own(metrics.EVENTS_ACCEPTED, minutes=60, statistic="SampleCount"),
                "size": self.own(metrics.EVENTS_ACCEPTED, minutes=60, statistic="Average"),
            },
            period=Duration.hours(1),
        )
