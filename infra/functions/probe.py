"""probe: posts an event every minute and reads it back, from outside the private network, as devices and readers do."""

from dataclasses import dataclass

from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.base import Base
from infra.building_blocks.findings import accept
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import NOTHING_HAPPENED, TROUBLE
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from sluice.core.metrics import PROBE_READABLE, PROBES_UNACCEPTED
from sluice.edge.probe.api_client import SECONDS
from sluice.edge.probe.keyring import FLEETS, KEYS
from sluice.edge.settings import ProbeSettings

EVERY_MINUTES = 1
LATE_SECONDS, LATE_MINUTES = 60, 5
"""Numbers are too old: someone is woken."""
SLOW_SECONDS = 30
"""Within which 99 % of a day's events are readable: what is promised."""


@dataclass(frozen=True)
class ProbeProfile:
    """How long a run waits for its event, and whether the schedule runs."""

    compute: Compute
    patience_seconds: int
    scheduled: bool
    """Where nothing is scheduled, no alarm misses it."""

    def __post_init__(self) -> None:
        require(self.patience_seconds > LATE_SECONDS, "a run must wait for longer than what is late")
        # The event's own request comes before it, and the last question may hang behind it. A run that also makes keys
        # may time out: a later run continues them.
        require(
            self.patience_seconds + 2 * SECONDS < self.compute.timeout_seconds,
            "probe must report an event that is not readable",
        )
        require(
            self.compute.timeout_seconds <= self.compute.concurrency * EVERY_MINUTES * 60,
            "a run must find a free environment while the one before it still waits",
        )


class Probe(Function):
    """The function, its schedule, and the secret in which it keeps its keys."""

    def __init__(
        self, scope: Construct, base: Base, settings: ProbeProfile, *, api: gateway.HttpApi, address: str
    ) -> None:
        secret = secretsmanager.CfnSecret(
            scope,
            "ProbeKeys",
            name=base.deployment.named("probe"),
            description="the keys of the function probe, which makes them itself",
            kms_key_id=base.key.key_arn,
            secret_string="{}",  # noqa: S106 - probe writes them
        )
        accept(secret, "SMG4", "probe makes new keys itself, after 60 days or when they are refused")
        super().__init__(
            scope,
            "probe",
            base,
            settings,
            reads=ProbeSettings,
            facts={"api_address": address, "probe_secret_arn": secret.ref},
            uses=[_keep_keys(base, secret), _make_keys(api)],
        )
        Schedule(self, every_minutes=EVERY_MINUTES, enabled=settings.scheduled)
        self.alarm(
            "unaccepted",
            self.own(PROBES_UNACCEPTED, minutes=1),
            times=LATE_MINUTES,
            no_data=TROUBLE if settings.scheduled else NOTHING_HAPPENED,
            means="For five minutes no event that probe posted was accepted, or no one knows whether one was.",
        )
        self.alarm(
            "late",
            self.own(PROBE_READABLE, minutes=1, statistic="Maximum"),
            above=LATE_SECONDS,
            times=LATE_MINUTES,
            means="For five minutes probe events were not readable within a minute of their acceptance.",
        )
        self.alarm(
            "slow",
            self.own(PROBE_READABLE, minutes=24 * 60, statistic="p99"),
            above=SLOW_SECONDS,
            means=f"More than 1 % of a day's probe events were readable only {SLOW_SECONDS} s after their acceptance,"
            " or later. That is less than is promised.",
        )


def _keep_keys(base: Base, secret: secretsmanager.CfnSecret) -> Access:
    return Access(
        grants=[
            iam.PolicyStatement(
                actions=["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"], resources=[secret.ref]
            ),
            # The key encrypts everything at rest: probe uses it through Secrets Manager, and for this secret.
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[base.key.key_arn],
                conditions={
                    "StringEquals": {
                        "kms:ViaService": f"secretsmanager.{base.deployment.region}.amazonaws.com",
                        "kms:EncryptionContext:SecretARN": secret.ref,
                    }
                },
            ),
        ]
    )


def _make_keys(api: gateway.HttpApi) -> Access:
    """Let probe create fleets, and keys of its own fleet; it may not change anything, and no key of another fleet."""
    routes = [api.arn_for_execute_api("POST", path, "$default") for path in (FLEETS, KEYS)]
    return Access(grants=[iam.PolicyStatement(actions=["execute-api:Invoke"], resources=routes)])
