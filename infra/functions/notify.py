"""notify: sends people messages about incidents. It runs outside the private network, which has no way out."""

from dataclasses import dataclass, replace

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.queue_source import QueueSource
from infra.deployment import require
from infra.stores.notifications import HIDDEN_SECONDS, Notifications
from sluice.core.control.destinations import TEST_ANOTHER
from sluice.core.metrics import ATTEMPTS_UNREPORTED
from sluice.core.notify.addresses import NONE
from sluice.core.notify.destinations import secrets_of
from sluice.edge.notify.posting import TOTAL_SECONDS
from sluice.edge.notify.told import FOLDER
from sluice.edge.settings import NotifySettings

ROUTING_AT_ONCE = 2
"""The least that AWS takes. Routing asks no destination."""
TESTING_AT_ONCE = 2
"""Admins' tests, which admin spaces out."""
OTHER_SECONDS = 21
"""The destinations, a secret twice, what it took twice, a pause or a dead letter, a report: each at its slowest."""


@dataclass(frozen=True)
class NotifyProfile:
    """The function that notifies destinations, and how many of them at once."""

    compute: Compute
    destination_s3_seconds: int
    """How long a changed destination may take to be in force."""
    destinations_at_once: int
    """A destination that hangs takes one of these, for some seconds at a time."""

    def __post_init__(self) -> None:
        require(
            self.compute.timeout_seconds > TOTAL_SECONDS + OTHER_SECONDS,
            "notify must report an attempt that took all of its time",
        )
        require(
            ROUTING_AT_ONCE + self.destinations_at_once + TESTING_AT_ONCE <= self.compute.concurrency,
            "a message that finds no free environment is received for nothing, and is given up after some times",
        )
        require(6 * self.compute.timeout_seconds <= HIDDEN_SECONDS, "a message must be hidden for six timeouts")
        require(
            TESTING_AT_ONCE * TEST_ANOTHER.total_seconds() >= self.compute.timeout_seconds,
            "a test must end before another one takes its environment",
        )


class Notify(Function):
    """The only function that talks to servers that we do not know, and the event sources of its two queues."""

    def __init__(self, scope: Construct, base: Base, settings: NotifyProfile, queues: Notifications) -> None:
        super().__init__(
            scope,
            "notify",
            base,
            settings,
            reads=NotifySettings,
            # No profile can let servers on this machine through; the local stack's override does.
            facts={"notify_loopback": NONE},
            uses=[
                queues.handle(),
                base.alerting.report(),
                # Outside the network, S3 needs no way.
                replace(base.control_data.read(), reaches=[]),
                base.control_data.remember(FOLDER),
                _read_secrets(scope, base),
            ],
            # What reads published documents can also read Valkey's copies, which this function never does.
            libraries=["database"],
        )
        QueueSource(self, "Messages", queues.messages, at_once=ROUTING_AT_ONCE)
        QueueSource(self, "Deliveries", queues.deliveries, at_once=settings.destinations_at_once)
        self.alarm(
            "unreported",
            self.own(ATTEMPTS_UNREPORTED, minutes=5),
            times=3,
            means="notify cannot report its attempts. People are notified, and `sluice alerts show` does not know it.",
        )


def _read_secrets(scope: Construct, base: Base) -> Access:
    """Let a function read the secrets of destinations, which people create, and no others."""
    secrets = Stack.of(scope).format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{secrets_of(base.deployment.stage)}*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return Access(grants=[iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[secrets])])
