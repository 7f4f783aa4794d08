"""detect: from raw-events to verdicts in alert-events."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.consumer import ConsumerFunction, Failures, HoldingProfile
from infra.stores.cache import BATCHES, PUBLISHED, STATISTICS, WATCHED_TO_READ
from infra.stores.control_data import Rules
from sluice.core.consumers import ALERT_EVENTS, DEAD_LETTERS, DETECT
from sluice.core.metrics import STATISTICS_STALE
from sluice.edge.detect.rulebook import ANSWER_SECONDS, TRIES
from sluice.edge.settings import DetectSettings

STALE_MINUTES = 15


@dataclass(frozen=True, kw_only=True)
class DetectProfile(HoldingProfile):
    """The consumer that judges readings, and how old its statistics may become."""

    stale_seconds: int

    def __post_init__(self) -> None:
        super().__post_init__()
        # The rules from S3; then the verdicts, in the last try.
        self.require_time("detect", ANSWER_SECONDS * TRIES + self.produce_deadline_seconds)


class Detect(ConsumerFunction):
    """The function that judges readings as they come in, and the event source that feeds it."""

    def __init__(self, scope: Construct, base: Base, settings: DetectProfile, *, rules: Rules) -> None:
        super().__init__(
            scope,
            DETECT,
            base,
            settings,
            failures=Failures(
                base.lake.buckets.failed_batches,
                means="Their readings were not judged: breaches of that time opened no incidents.",
            ),
            reads=DetectSettings,
            uses=[
                base.stream.produce(DEAD_LETTERS, ALERT_EVENTS),
                base.control_data.read_rules(rules),
                base.cache.access(DETECT.name, BATCHES, PUBLISHED, STATISTICS, WATCHED_TO_READ),
            ],
        )
        self.alarm(
            "stale",
            self.own(STATISTICS_STALE, minutes=STALE_MINUTES),
            times=2,
            means="detect judges by old statistics: learn does not publish, or Valkey does not take what it publishes.",
        )
