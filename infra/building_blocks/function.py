"""Our Lambda function: the one definition of how code runs here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.base import Base
from infra.building_blocks.environment import Fact, environment_of
from infra.building_blocks.findings import accept
from infra.building_blocks.layers import ARCHITECTURE, NOT_CODE, ROOT, RUNTIME, Library
from infra.building_blocks.operations import NOTHING_HAPPENED, counted
from infra.building_blocks.retention import kept_for
from infra.building_blocks.shift import AT_ONCE, Live
from infra.network import Network
from sluice.core.metrics import Metric
from sluice.edge.settings import FunctionSettings, Settings


@dataclass(frozen=True)
class Compute:
    """One Lambda function's size and bounds."""

    memory_mib: int
    timeout_seconds: int
    concurrency: int


class HasCompute(Protocol):
    """The settings of one function: its size and bounds, and often more."""

    @property
    def compute(self) -> Compute: ...


class Function(Construct):
    """A function named by its verb: the code in functions/<verb>, its log and alarms, a role with only its grants.

    `reads` is the struct with which its handler reads the environment; `profile`, `settings` and `facts` give the
    struct's fields their values. `uses` are the stores, services and functions it uses.
    `started` environments of the alias stay started; its releases shift in `shift_minutes`, `at_once`, or as the
    profile says.
    """

    def __init__(
        self,
        scope: Construct,
        verb: str,
        base: Base,
        profile: Compute | HasCompute,
        *,
        synchronous: bool = False,
        started: int = 0,
        shift_minutes: int | None = None,
        at_once: bool = False,
        reads: type[Settings] | None = None,
        settings: Sequence[object] = (),
        facts: Mapping[str, Fact] | None = None,
        uses: Sequence[Access] = (),
        libraries: Sequence[Library] = (),
    ) -> None:
        super().__init__(scope, verb.capitalize())
        deployment = base.deployment
        compute = profile if isinstance(profile, Compute) else profile.compute
        own = FunctionSettings(
            sluice_stage=deployment.stage,
            powertools_service_name=verb,
            powertools_metrics_namespace=deployment.metrics,
        )
        environment = environment_of(
            verb,
            [FunctionSettings, *([reads] if reads else []), *(struct for use in uses for struct in use.reads)],
            settings=[own, compute, profile, *settings],
            facts=[facts or {}, *(use.facts for use in uses)],
        )
        # A function that needs nothing in the private network stays outside, with access to AWS and the internet.
        reaches = [reach for use in uses for reach in use.reaches]
        network = base.network if reaches else None
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{deployment.named(verb)}",
            retention=kept_for(deployment.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        arn = Stack.of(self).format_arn(
            service="lambda",
            resource="function",
            resource_name=deployment.named(verb),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        grants = [*_running(arn, log_group, network), *(grant for use in uses for grant in use.grants)]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={verb: iam.PolicyDocument(statements=grants)},
        )
        self.security_groups = [_group(self, verb, network)] if network else []
        wanted = dict.fromkeys([*(library for use in uses for library in use.libraries), *libraries])
        self.resource = lambda_.Function(
            self,
            "Function",
            function_name=deployment.named(verb),
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            handler="handler.handler",
            code=lambda_.Code.from_asset(str(ROOT / "functions" / verb), exclude=NOT_CODE),
            layers=[base.layers.sluice, base.layers.stream, *(base.layers.further[library] for library in wanted)],
            environment=environment,
            memory_size=compute.memory_mib,
            timeout=Duration.seconds(compute.timeout_seconds),
            reserved_concurrent_executions=compute.concurrency if deployment.reserves else None,
            # The document above holds all of its permissions. Constructs add none.
            role=role.without_policy_updates(),
            vpc=network.vpc if network else None,
            vpc_subnets=network.subnets if network else None,
            security_groups=self.security_groups or None,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
            # The start, end and report lines of every invocation would cost more than the invocations.
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
        )
        accept(
            self.resource, "L1", "the runtime is chosen together with the layers built for it, and moves on with them"
        )
        self.verb = verb
        self._namespace = deployment.metrics
        self._operations = base.operations
        self._shifts = base.shifts
        self._shift_minutes = AT_ONCE if at_once else shift_minutes
        self._at_once = at_once
        self._started = started
        self._roll_back_on: list[cloudwatch.Alarm] = []
        self._live: Live | None = None
        for reach in reaches:
            self.resource.connections.allow_to(reach.to, ec2.Port.tcp(reach.port), f"{verb} connects")
        # The function waits for its role, log and rules too. Nothing may start it sooner.
        self.node.add_dependency(*(each for use in uses for each in use.after))
        self._watch(synchronous=synchronous)

    @property
    def live(self) -> lambda_.Alias:
        """What routes and event sources invoke. A function that none invokes has no alias."""
        if self._live is None:
            self._live = Live(
                self,
                self.verb,
                self.resource,
                self._shifts,
                minutes=self._shifts.minutes if self._shift_minutes is None else self._shift_minutes,
                started=self._started,
            )
            for alarm in self._roll_back_on:
                self._live.roll_back_on(alarm)
            if not self._at_once:
                self._watch_release(self._live)
        return self._live.alias

    def access(self, way: Reach) -> Access:
        """Let another function invoke this one; it reads the name as `<verb>_function`."""
        return Access(
            grants=[iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self.resource.function_arn])],
            facts={f"{self.verb}_function": self.resource.function_name},
            reaches=[way],
        )

    def own(self, metric: Metric, *, minutes: int, statistic: str = "Sum") -> cloudwatch.Metric:
        """Name a metric that this function's code records."""
        if metric.dimensions:
            raise ValueError(f"{metric.name} is recorded by {', '.join(metric.dimensions)} too: name a metric of each")
        return counted(self._namespace, metric.name, {"service": self.verb}, minutes=minutes, statistic=statistic)

    def alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        *,
        above: float = 0,
        times: int = 1,
        no_data: cloudwatch.TreatMissingData = NOTHING_HAPPENED,
        silent: bool = False,
        rolls_back: bool = False,
        means: str,
    ) -> None:
        """Raise an alarm, named after this function, as operations do. One that rolls back ends a release's shift."""
        alarm = self._operations.alarm(
            self, name, metric=metric, above=above, times=times, no_data=no_data, silent=silent, means=means
        )
        if rolls_back:
            self._roll_back_on.append(alarm)
            if self._live is not None:
                self._live.roll_back_on(alarm)

    def _watch_release(self, live: Live) -> None:
        self.alarm(
            "release-errors",
            # AWS counts by version only while the alias shifts, so this is about no other release.
            counted("AWS/Lambda", "Errors", live.dimensions, minutes=5),
            silent=True,
            rolls_back=True,
            means=f"The new release of {self.verb} crashed, timed out or raised an unhandled exception.",
        )

    def _watch(self, *, synchronous: bool) -> None:
        function = {"FunctionName": self.resource.function_name}
        self.alarm(
            "errors",
            # Expected failures are answered, retried or dead-lettered. An error is a defect or a crash.
            # The metric counts all versions of the function.
            counted("AWS/Lambda", "Errors", function, minutes=5),
            means=f"{self.verb} crashed, timed out or raised an unhandled exception.",
        )
        if synchronous:
            self.alarm(
                "throttles",
                counted("AWS/Lambda", "Throttles", function, minutes=5),
                means=f"{self.verb} reached its concurrency limit. Lambda throttled it:"
                " callers got errors that are not ours.",
            )


def _group(scope: Construct, verb: str, network: Network) -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        scope, "SecurityGroup", vpc=network.vpc, description=f"Function {verb}", allow_all_outbound=False
    )


def _running(arn: str, log_group: logs.ILogGroup, network: Network | None) -> list[iam.PolicyStatement]:
    """Grant what every function needs to run: its log, and its network interfaces, if it has any.

    Lambda makes the interfaces in the role's name. The function's own code may call none of EC2.
    """
    statements = [
        iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn])
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
        # Lambda makes them, and they cannot be named in advance.
        statements.append(iam.PolicyStatement(actions=interfaces, resources=["*"]))
        statements.append(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=["ec2:*"],
                resources=["*"],
                # Lambda adds this to what the code asks for, and to nothing that it does itself.
                conditions={"ArnEquals": {"lambda:SourceFunctionArn": arn}},
            )
        )
    return statements
