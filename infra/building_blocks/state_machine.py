"""Our state machine: the one definition of how a workflow of functions runs here."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import ArnFormat, Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.building_blocks.access import Access
from infra.building_blocks.findings import accept
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.function import Function
from infra.building_blocks.operations import counted
from infra.building_blocks.retention import kept_for
from infra.deployment import require
from infra.stores.buckets import Bucket

# What Step Functions asks of CloudWatch Logs so that it may write to a group. These calls name no group.
DELIVERY_OF_LOGS = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)


@dataclass(frozen=True)
class Items:
    """Where a distributed map finds the objects that list its items."""

    bucket: Bucket
    prefix: str


class StateMachine(Construct):
    """A state machine named by what it does: its definition, its log and alarms, a role with only its grants.

    `runs` are the functions of its tasks. `items` is where its distributed map reads; without it, it has no such map.
    Everything names the machine by an ARN that is known beforehand: its role names the machine, and so may a function
    that it runs.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        foundation: Foundation,
        *,
        definition: sfn.IChainable,
        runs: Sequence[Function],
        items: Items | None = None,
        slow_after_minutes: int,
        timeout_minutes: int,
    ) -> None:
        super().__init__(scope, f"{name.capitalize()}Machine")
        require(slow_after_minutes < timeout_minutes, f"{name}: an execution must be called slow before it is ended")
        deployment = foundation.deployment
        self.name = name
        self._key = foundation.key
        self._operations = foundation.operations
        full_name = deployment.named(name)
        self.arn = _named(self, "stateMachine", full_name)
        self._executions = _named(self, "execution", f"{full_name}:*")
        log_group = logs.LogGroup(
            self,
            "Logs",
            # Groups with this prefix do not count towards the size of the account's one policy for logs.
            log_group_name=f"/aws/vendedlogs/states/{full_name}",
            retention=kept_for(deployment.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        grants = [*_invoking(runs), *self._logging(), _may_use_key(self.arn, foundation)]
        if items is not None:
            grants += [*self._mapping(full_name), *_reading(items)]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
            inline_policies={name: iam.PolicyDocument(statements=grants)},
        )
        machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=full_name,
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_chainable(definition),
            timeout=Duration.minutes(timeout_minutes),
            # The document above holds all of its permissions. Constructs add none.
            role=role.without_policy_updates(),
            # Inputs name devices, and are not for a log.
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ERROR, include_execution_data=False),
            # Likewise: the construct would let every log delivery decrypt everything.
            encryption_configuration=sfn.CustomerManagedEncryptionConfiguration(
                kms.Key.from_key_arn(self, "Key", foundation.key.key_arn)
            ),
        )
        accept(machine, "SF1", "the history holds every event for 90 days; the log holds the errors")
        accept(machine, "SF2", "no function is traced: spans of the machine alone add nothing to its history")
        self._watch(slow_after_minutes, timeout_minutes)

    def _logging(self) -> list[iam.PolicyStatement]:
        """Grant what sets up the log, and the key under which the service that delivers it passes it on."""
        passed_on = Stack.of(self).format_arn(service="logs", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME)
        context = {"StringEquals": {"kms:EncryptionContext:SourceArn": passed_on}}
        self._key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("delivery.logs.amazonaws.com")],
                actions=["kms:Decrypt"],
                resources=["*"],
                conditions=context,
            )
        )
        return [
            iam.PolicyStatement(actions=list(DELIVERY_OF_LOGS), resources=["*"]),
            iam.PolicyStatement(actions=["kms:GenerateDataKey"], resources=[self._key.key_arn], conditions=context),
        ]

    def _mapping(self, full_name: str) -> list[iam.PolicyStatement]:
        """Grant what a distributed map does under its machine's role: its children are executions."""
        return [
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[self.arn]),
            iam.PolicyStatement(
                actions=["states:DescribeExecution", "states:StopExecution"],
                # Its own executions, and those of its maps.
                resources=[self._executions, _named(self, "execution", f"{full_name}/*:*")],
            ),
        ]

    def _watch(self, slow_after_minutes: int, timeout_minutes: int) -> None:
        ends = {
            "failed": ("ExecutionsFailed", "failed. Its history names the state and the error"),
            "timed-out": ("ExecutionsTimedOut", f"ran for {timeout_minutes} min, and was ended"),
            "aborted": ("ExecutionsAborted", "was stopped by a person, or by a function that a person asked"),
        }
        for name, (metric, happened) in ends.items():
            self._operations.alarm(
                self,
                name,
                metric=self._metric(metric),
                means=f"An execution of the state machine {self.name} {happened}.",
            )
        self._operations.alarm(
            self,
            "slow",
            # AWS writes the time of an execution when it ends; one that never ends is timed out.
            metric=self._metric("ExecutionTime", statistic="Maximum"),
            above=slow_after_minutes * 60_000,
            means=f"An execution of the state machine {self.name} took longer than {slow_after_minutes} min.",
        )

    def _metric(self, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return counted("AWS/States", name, {"StateMachineArn": self.arn}, minutes=5, statistic=statistic)


def start_access(scope: Construct, foundation: Foundation, name: str) -> Access:
    """Let a function start executions of a machine; it reads the ARN as `<name>_machine`."""
    arn = _named(scope, "stateMachine", foundation.deployment.named(name))
    return Access(
        grants=[
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[arn]),
            _may_use_key(arn, foundation),
        ],
        facts={f"{name}_machine": arn},
        reaches=[foundation.network.states],
    )


def describe_access(scope: Construct, foundation: Foundation, name: str) -> Access:
    """Let a function ask how executions of a machine are; also one that the machine itself runs."""
    full_name = foundation.deployment.named(name)
    executions = _named(scope, "execution", f"{full_name}:*")
    return Access(
        grants=[
            iam.PolicyStatement(actions=["states:DescribeExecution"], resources=[executions]),
            _may_use_key(_named(scope, "stateMachine", full_name), foundation),
        ],
        reaches=[foundation.network.states],
    )


def _named(scope: Construct, resource: str, name: str) -> str:
    return Stack.of(scope).format_arn(
        service="states", resource=resource, resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def _may_use_key(arn: str, foundation: Foundation) -> iam.PolicyStatement:
    """Grant the uses of the key for what this machine and its maps keep, and nothing else that it encrypts."""
    return iam.PolicyStatement(
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=[foundation.key.key_arn],
        conditions={"StringLike": {"kms:EncryptionContext:aws:states:stateMachineArn": [arn, f"{arn}/*"]}},
    )


def _invoking(runs: Sequence[Function]) -> list[iam.PolicyStatement]:
    functions = [function.resource.function_arn for function in runs]
    return [iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=functions)] if functions else []


def _reading(items: Items) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(actions=["s3:GetObject"], resources=[items.bucket.arn_for_objects(f"{items.prefix}*")]),
        items.bucket.may_use_key("kms:Decrypt"),
    ]
