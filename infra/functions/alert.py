"""alert: from verdicts to incidents, and from incidents to messages."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.consumer import ConsumerFunction, HoldingProfile
from infra.stores.cache import BATCHES, WATCHED
from infra.stores.database import CONNECT_SECONDS
from sluice.core.consumers import ALERT, DEAD_LETTERS
from sluice.edge.alerts.alerting import TELL_SECONDS
from sluice.edge.alerts.topics import TOGETHER_SECONDS
from sluice.edge.settings import AlertSettings


@dataclass(frozen=True, kw_only=True)
class AlertProfile(HoldingProfile):
    """The consumer of verdicts, and how long it waits for the database."""

    transaction_seconds: int
    """How long one batch may take before its connection is cut."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # The batch; then messages are begun for a while, and the last ones take a transaction around SNS.
        transactions = 2 * (self.transaction_seconds + CONNECT_SECONDS)
        self.require_time("alert", transactions + TELL_SECONDS + TOGETHER_SECONDS)


class Alert(ConsumerFunction):
    """The function that opens and resolves incidents and sends their messages, and its event source."""

    def __init__(self, scope: Construct, base: Base, settings: AlertProfile, *, dashboard: str) -> None:
        super().__init__(
            scope,
            ALERT,
            base,
            settings,
            # An incident must not be lost because the database was down for hours. The topic keeps verdicts for days.
            failures=None,
            reads=AlertSettings,
            uses=[
                base.stream.produce(DEAD_LETTERS),
                base.database.access(ALERT.name),
                base.cache.access(ALERT.name, BATCHES, WATCHED),
                base.alerting.publish(base.network.sns, dashboard=dashboard),
            ],
        )
