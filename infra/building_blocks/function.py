"""Our Lambda function: the one definition of how code runs here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.findings import accept
from infra.building_blocks.layers import ARCHITECTURE, NOT_CODE, ROOT, RUNTIME
from infra.building_blocks.operations import NOTHING_HAPPENED, Operations, counted
from infra.building_blocks.retention import kept_for
from infra.network import Network
from infra.settings import Compute


@dataclass(frozen=True)
class Reach:
    """A connection a function may open; there is no other."""

    to: ec2.IConnectable
    port: int


class Function(lambda_.Function):
    """A function named by its verb: the code in functions/<verb>, its log and alarms, a role with only its grants."""

    def __init__(
        self,
        scope: Construct,
        verb: str,
        *,
        base: Base,
        compute: Compute,
        synchronous: bool,
        environment: Mapping[str, str],
        grants: Sequence[iam.PolicyStatement],
        reaches: Sequence[Reach],
        further_layers: Sequence[lambda_.ILayerVersion] = (),
    ) -> None:
        deployment = base.deployment
        # Who reaches nothing inside the private network stays outside, where AWS and the internet are.
        network = base.network if reaches else None
        log_group = logs.LogGroup(
            scope,
            "Logs",
            log_group_name=f"/aws/lambda/{deployment.named(verb)}",
            retention=kept_for(deployment.profile.retention.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            scope,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={verb: iam.PolicyDocument(statements=[*_running(log_group, network), *grants])},
        )
        security_groups = [_group(scope, verb, network)] if network else []
        super().__init__(
            scope,
            "Function",
            function_name=deployment.named(verb),
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            handler="handler.handler",
            code=lambda_.Code.from_asset(str(ROOT / "functions" / verb), exclude=NOT_CODE),
            layers=[base.layers.sluice, base.layers.stream, *further_layers],
            environment={
                "SLUICE_STAGE": deployment.stage,
                "POWERTOOLS_SERVICE_NAME": verb,
                "POWERTOOLS_METRICS_NAMESPACE": deployment.metrics,
                **environment,
            },
            memory_size=compute.memory_mib,
            timeout=Duration.seconds(compute.timeout_seconds),
            reserved_concurrent_executions=compute.concurrency,
            # Everything it may do stands in the one document above: constructs add nothing to it on the way.
            role=role.without_policy_updates(),
            vpc=network.vpc if network else None,
            vpc_subnets=network.subnets if network else None,
            security_groups=security_groups or None,
            tracing=lambda_.Tracing.ACTIVE,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
            # Start, end and report lines of every invocation would cost more than the invocations.
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
        )
        accept(self, "L1", "the runtime is chosen together with the layers built for it, and moves on with them")
        self.security_groups = security_groups
        for reach in reaches:
            self.connections.allow_to(reach.to, ec2.Port.tcp(reach.port), f"{verb} connects")
        self._watch(scope, verb, base.operations, synchronous=synchronous)

    def _watch(self, scope: Construct, verb: str, operations: Operations, *, synchronous: bool) -> None:
        function = {"FunctionName": self.function_name}
        operations.alarm(
            scope,
            "errors",
            # What is expected to fail is answered, retried or dead-lettered: an error is a defect or a crash.
            metric=counted("AWS/Lambda", "Errors", function, minutes=5),
            above=0,
            no_data=NOTHING_HAPPENED,
            means=f"{verb} crashed, timed out or raised what it does not handle.",
        )
        if synchronous:
            operations.alarm(
                scope,
                "throttles",
                metric=counted("AWS/Lambda", "Throttles", function, minutes=5),
                above=0,
                no_data=NOTHING_HAPPENED,
                means=f"{verb} was asked for more at a time than it may run: callers got errors that are not ours.",
            )


def _group(scope: Construct, verb: str, network: Network) -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        scope, "SecurityGroup", vpc=network.vpc, description=f"Function {verb}", allow_all_outbound=False
    )


def _running(log_group: logs.ILogGroup, network: Network | None) -> list[iam.PolicyStatement]:
    """Grant what every function needs to run at all: its log, its trace and its place in the network, if it has one."""
    statements = [
        iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]),
        # Neither X-Ray nor the network interfaces Lambda manages can be named in advance.
        iam.PolicyStatement(actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"]),
    ]
    if network is not None:
        interfaces = [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ]
        statements.append(iam.PolicyStatement(actions=interfaces, resources=["*"]))
    return statements
