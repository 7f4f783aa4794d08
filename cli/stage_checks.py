"""What only a deployed stage can show: each check asks AWS about one belief that no test here settles."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cli.aws import PARTS, Ask, describe_stack, find_output
from cli.stages import CommandError

TOPICS = 4
POSTGRES = "18."
COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
SOUND = ("OK", "No records processed")
"""What Lambda says of an event source that reads: of others it says what is wrong."""


class Disproof(Exception):
    """A belief does not hold; the message says what is so."""


@dataclass(frozen=True)
class Stage:
    """A deployed stage, and what opens clients of its services."""

    name: str
    ask: Ask

    def stack(self, part: str) -> str:
        """Return the name of one of its stacks."""
        return f"sluice-{self.name}-{part}"

    def resources(self, part: str, kind: str) -> list[dict[str, Any]]:
        """List the resources of a type in one of its stacks."""
        pages = self.ask("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack(part))
        return [each for page in pages for each in page["StackResourceSummaries"] if each["ResourceType"] == kind]

    def output(self, part: str, name: str) -> str:
        """Find an output of one of its stacks."""
        stack = describe_stack(self.ask("cloudformation"), self.stack(part)) or {}
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
        return find_output(outputs, name)


def check_stacks(stage: Stage) -> str:
    """See that CloudFormation created everything under the execution policy."""
    for part in PARTS:
        stack = describe_stack(stage.ask("cloudformation"), stage.stack(part))
        status = stack["StackStatus"] if stack else "not there"
        if status not in COMPLETE:
            raise Disproof(f"{stage.stack(part)} is {status}")
    return f"{len(PARTS)} stacks are complete"


def check_database(stage: Stage) -> str:
    """See which release RDS chose for the major one that the template names."""
    (instance,) = stage.resources("data", "AWS::RDS::DBInstance")
    answer = stage.ask("rds").describe_db_instances(DBInstanceIdentifier=instance["PhysicalResourceId"])
    release = str(answer["DBInstances"][0]["EngineVersion"])
    if not release.startswith(POSTGRES):
        raise Disproof(f"RDS runs {release}")
    return f"RDS runs {release}"


def check_topics(stage: Stage) -> str:
    """See that CloudFormation created every topic."""
    return _all_created(stage.resources("data", "AWS::MSK::Topic"), "topics", TOPICS)


def check_budget(stage: Stage) -> str:
    """See that the budget was accepted."""
    return _all_created(stage.resources("data", "AWS::Budgets::Budget"), "budgets", 1)


def _all_created(resources: Sequence[dict[str, Any]], what: str, wanted: int) -> str:
    for each in resources:
        if each["ResourceStatus"] not in COMPLETE:
            raise Disproof(f"{each['LogicalResourceId']} is {each['ResourceStatus']}")
    if len(resources) != wanted:
        raise Disproof(f"{len(resources)} of {wanted} {what} are there")
    return f"{wanted} {what} are there"


def check_sources(stage: Stage) -> str:
    """See that every event source is enabled and reads."""
    client = stage.ask("lambda")
    pages = client.get_paginator("list_event_source_mappings").paginate()
    prefix = f":function:sluice-{stage.name}-"
    mappings = [each for page in pages for each in page["EventSourceMappings"] if prefix in each["FunctionArn"]]
    for each in mappings:
        function = each["FunctionArn"].rpartition(":function:")[2]
        if each["State"] != "Enabled" or each.get("LastProcessingResult", SOUND[0]) not in SOUND:
            raise Disproof(f"that of {function} is {each['State']}: {each.get('LastProcessingResult', 'no result')}")
    if not mappings:
        raise Disproof("there is none")
    return f"{len(mappings)} are enabled and sound"


def check_checkpoints(stage: Stage) -> str:
    """See that there is a signed checkpoint, and that its lock has an end in the future."""
    client = stage.ask("s3")
    bucket = stage.output("data", "CheckpointsBucketName")
    versions = client.list_object_versions(Bucket=bucket).get("Versions", [])
    if not versions:
        raise Disproof(f"{bucket} is empty: the first checkpoint follows the first change by an admin")
    newest = max(versions, key=lambda each: each["LastModified"])
    lock = client.get_object_retention(Bucket=bucket, Key=newest["Key"], VersionId=newest["VersionId"])["Retention"]
    return f"{newest['Key']} is locked until {lock['RetainUntilDate']:%Y-%m-%d} ({lock['Mode'].lower()})"


def check_listeners(stage: Stage) -> str:
    """See that someone is notified of alarms."""
    topic = stage.output("data", "OperationsTopicArn")
    pages = stage.ask("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    arns = [each["SubscriptionArn"] for page in pages for each in page["Subscriptions"]]
    confirmed = [arn for arn in arns if arn.startswith("arn:")]
    if not confirmed:
        raise Disproof(f"of {len(arns)} subscriptions of the operations topic none is confirmed")
    return f"{len(confirmed)} of {len(arns)} subscriptions are confirmed"


CHECKS: dict[str, Callable[[Stage], str]] = {
    "the execution policy of the bootstrap allows everything that CloudFormation does": check_stacks,
    "RDS takes a major release alone as `EngineVersion`": check_database,
    "MSK creates topics through CloudFormation under IAM authentication": check_topics,
    "a budget is accepted once its topic admits it": check_budget,
    "event sources in provisioned mode read with the roles that the templates give": check_sources,
    "checkpoints are signed, and cannot be deleted": check_checkpoints,
    "an alarm reaches someone": check_listeners,
}
"""What is believed, as docs/only-aws-can-tell.md says it, and what asks AWS."""

CANARY = "a device's event is accepted, delivered by Firehose, found by Athena and counted"
"""What the canary shows, which posts events."""


@dataclass(frozen=True)
class Outcome:
    """What became of one belief."""

    belief: str
    holds: bool
    says: str


def settle(beliefs: Iterable[tuple[str, Callable[[], str]]]) -> list[Outcome]:
    """Check one belief after another; one that cannot be asked is not shown to hold."""
    from botocore.exceptions import BotoCoreError, ClientError

    outcomes = []
    for belief, check in beliefs:
        try:
            outcomes.append(Outcome(belief, True, check()))
        except (Disproof, CommandError, BotoCoreError, ClientError) as error:
            outcomes.append(Outcome(belief, False, str(error)))
    return outcomes
