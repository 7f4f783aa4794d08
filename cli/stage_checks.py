"""What only a deployed stage can show: each check asks AWS about one assumption that no test here can check."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.aws import PARTS, OpenClient, describe_stack, find_output
from cli.stages import CommandError

COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
SOUND = ("OK", "No records processed")
"""What Lambda says of an event source that reads: of others it says what is wrong."""


class CheckFailed(Exception):
    """An assumption does not hold; the message says what is so."""


@dataclass(frozen=True)
class DeployedStage:
    """A deployed stage, and what opens clients of its services."""

    name: str
    client: OpenClient

    def stack(self, part: str) -> str:
        """Return the name of one of its stacks."""
        return f"sluice-{self.name}-{part}"

    def resources(self, part: str, kind: str) -> list[dict[str, Any]]:
        """List the resources of a type in one of its stacks."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack(part))
        return [each for page in pages for each in page["StackResourceSummaries"] if each["ResourceType"] == kind]

    def output(self, part: str, name: str) -> str:
        """Find an output of one of its stacks."""
        stack = describe_stack(self.client("cloudformation"), self.stack(part)) or {}
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
        return find_output(outputs, name)


def check_stacks(stage: DeployedStage) -> str:
    """See that CloudFormation created everything under the execution policy."""
    for part in PARTS:
        stack = describe_stack(stage.client("cloudformation"), stage.stack(part))
        status = stack["StackStatus"] if stack else "not there"
        if status not in COMPLETE:
            raise CheckFailed(f"{stage.stack(part)} is {status}")
    return f"{len(PARTS)} stacks are complete"


def check_database(stage: DeployedStage) -> str:
    """See which release RDS chose for the major one that the template names."""
    # Imported here: the CDK takes longer to load than a command's help.
    from infra.stores.database import MAJOR

    (instance,) = stage.resources("data", "AWS::RDS::DBInstance")
    answer = stage.client("rds").describe_db_instances(DBInstanceIdentifier=instance["PhysicalResourceId"])
    release = str(answer["DBInstances"][0]["EngineVersion"])
    if release.partition(".")[0] != MAJOR:
        raise CheckFailed(f"RDS runs {release}, and the schema needs {MAJOR}")
    return f"RDS runs {release}"


def check_topics(stage: DeployedStage) -> str:
    """See that CloudFormation created every topic of the deployed template."""
    kind = "AWS::MSK::Topic"
    template = stage.client("cloudformation").get_template(StackName=stage.stack("data"))["TemplateBody"]
    wanted = sum(resource["Type"] == kind for resource in template["Resources"].values())
    return _all_created(stage.resources("data", kind), "topics", wanted)


def check_budget(stage: DeployedStage) -> str:
    """See that the budget was accepted."""
    return _all_created(stage.resources("data", "AWS::Budgets::Budget"), "budgets", 1)


def _all_created(resources: Sequence[dict[str, Any]], what: str, wanted: int) -> str:
    for each in resources:
        if each["ResourceStatus"] not in COMPLETE:
            raise CheckFailed(f"{each['LogicalResourceId']} is {each['ResourceStatus']}")
    if len(resources) != wanted:
        raise CheckFailed(f"{len(resources)} of {wanted} {what} exist")
    return f"{wanted} {what} exist"


def check_sources(stage: DeployedStage) -> str:
    """See that every event source is enabled and reads."""
    client = stage.client("lambda")
    pages = client.get_paginator("list_event_source_mappings").paginate()
    prefix = f":function:sluice-{stage.name}-"
    mappings = [each for page in pages for each in page["EventSourceMappings"] if prefix in each["FunctionArn"]]
    for each in mappings:
        function = each["FunctionArn"].rpartition(":function:")[2]
        if each["State"] != "Enabled" or each.get("LastProcessingResult", SOUND[0]) not in SOUND:
            result = each.get("LastProcessingResult", "no result")
            raise CheckFailed(f"the event source of {function} is {each['State']}: {result}")
    if not mappings:
        raise CheckFailed("there is no event source")
    return f"{len(mappings)} event sources are enabled and sound"


def check_checkpoints(stage: DeployedStage) -> str:
    """See that there is a signed checkpoint, and that its lock has an end in the future."""
    client = stage.client("s3")
    bucket = stage.output("data", "CheckpointsBucketName")
    versions = client.list_object_versions(Bucket=bucket).get("Versions", [])
    if not versions:
        raise CheckFailed(f"{bucket} is empty: the first checkpoint follows the first change by an admin")
    newest = max(versions, key=lambda each: each["LastModified"])
    lock = client.get_object_retention(Bucket=bucket, Key=newest["Key"], VersionId=newest["VersionId"])["Retention"]
    if lock["RetainUntilDate"] <= datetime.now(UTC):
        raise CheckFailed(f"the lock of {newest['Key']} ended on {lock['RetainUntilDate']:%Y-%m-%d}")
    return f"{newest['Key']} is locked until {lock['RetainUntilDate']:%Y-%m-%d} ({lock['Mode'].lower()})"


def check_listeners(stage: DeployedStage) -> str:
    """See that someone is notified of outages, and of every other alarm."""
    confirmed = {
        "pages": _count_listeners(stage, "pages", "OperationsPagesTopicArn"),
        "operations": _count_listeners(stage, "operations", "OperationsTopicArn"),
    }
    return ", ".join(f"{name}: {count} confirmed subscriptions" for name, count in confirmed.items())


def _count_listeners(stage: DeployedStage, name: str, output: str) -> int:
    topic = stage.output("data", output)
    pages = stage.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    arns = [each["SubscriptionArn"] for page in pages for each in page["Subscriptions"]]
    confirmed = len([arn for arn in arns if arn.startswith("arn:")])
    if not confirmed:
        raise CheckFailed(f"of {len(arns)} subscriptions of the topic {name} none is confirmed")
    return confirmed


CHECKS: dict[str, Callable[[DeployedStage], str]] = {
    "the execution policy of the bootstrap allows everything that CloudFormation does": check_stacks,
    "RDS takes a major release alone as `EngineVersion`": check_database,
    "MSK creates topics through CloudFormation under IAM authentication": check_topics,
    "a budget is accepted once its topic admits it": check_budget,
    "event sources in provisioned mode read with the roles that the templates give": check_sources,
    "checkpoints are signed, and cannot be deleted": check_checkpoints,
    "an alarm reaches someone": check_listeners,
}
"""The assumptions, as docs/only-aws-can-tell.md says them, and what asks AWS about each."""

CANARY = "a device's event is accepted, delivered by Firehose, found by Athena and counted"
"""What the canary shows, which posts events."""


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    assumption: str
    holds: bool
    says: str


def run_checks(checks: Iterable[tuple[str, Callable[[], str]]]) -> list[Outcome]:
    """Check one assumption after another. One that AWS cannot be asked about does not hold."""
    from botocore.exceptions import BotoCoreError, ClientError

    outcomes = []
    for assumption, check in checks:
        try:
            outcomes.append(Outcome(assumption, True, check()))
        except (CheckFailed, CommandError, BotoCoreError, ClientError) as error:
            outcomes.append(Outcome(assumption, False, str(error)))
    return outcomes
