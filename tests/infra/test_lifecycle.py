"""What happens to everything that holds data when a first creation fails, when its stack goes, and in an update."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from infra.profiles.baseline import BASELINE
from infra.profiles.large import LARGE
from tests.infra.options import synthesized
from tests.infra.templates import ROOT, STACKS, Resource, Templates, context, synthesize

PAGE = ROOT / "docs/deploy.md"
# Types that hold what no deployment can write again, by what the page calls them.
HOLDS_DATA = {
    "AWS::S3::Bucket": "bucket",
    "AWS::KMS::Key": "key",
    "AWS::RDS::DBInstance": "PostgreSQL",
    "AWS::MSK::Cluster": "Kafka",
    "AWS::MSK::Topic": "topic",
    "AWS::ElastiCache::ServerlessCache": "Valkey",
    "AWS::KinesisFirehose::DeliveryStream": "delivery stream",
    "AWS::SQS::Queue": "queue",
    "AWS::Logs::LogGroup": "log group",
}
# Of these, an update may replace or delete what is written again, or empties within minutes, and logs.
MAY_GO = {
    "AWS::ElastiCache::ServerlessCache",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
}
# Everything else is written by the next deployment; probe's secret by its next run.
HOLDS_NONE = re.compile(
    r"AWS::(ApiGatewayV2|Athena|Budgets|CloudTrail|CloudWatch|CodeDeploy|EC2|Glue|IAM|Lambda|SNS|Scheduler"
    r"|SecretsManager|StepFunctions)::\w+"
    r"|AWS::(ElastiCache::User(Group)?|KMS::Alias|Logs::LogStream|MSK::Configuration|RDS::DB(ParameterGroup|SubnetGroup))"
    r"|AWS::(S3::BucketPolicy|SQS::QueuePolicy)"
    r"|Custom::\w+"
)
# The names by which CloudFormation knows them. Under another name it would make a new one, empty, beside or in place.
KNOWN_BY = {
    "AlertingAttempts5F19C59F",
    "AlertingAttemptsGivenUp11C44C22",
    "CacheDAF337C5",
    "CheckpointsBucket6BA0C50D",
    "CheckpointsKeyB7C23FB2",
    "DatabaseInstanceAA8A5FDE",
    "Key961B73FD",
    "LakeBucketsControlB2C79DAC",
    "LakeBucketsDeadLetter0EBD0CCA",
    "LakeBucketsFailedBatches353887E2",
    "LakeBucketsQueryResultsF01C3F74",
    "LakeBucketsRaw9819146D",
    "LakeBucketsRollupsD2F0545A",
    "LakeDeliveryDelivery2Stream1E258D1D",
    "LakeDeliveryDelivery3StreamA8ED041F",
    "LakeDeliveryStream576E6A89",
    "LakeTrailBucket94BCA16C",
    "NotificationsDeliveries85FDF390",
    "NotificationsLetters7E2C5403",
    "NotificationsMessages635E3FF8",
    "StreamAlertEvents4883DA5F",
    "StreamCluster8AD6DEEE",
    "StreamDeadLetter3A487B6F",
    "StreamRawEvents8F4C4006",
    "StreamReplayEvents2D4EC5F0",
}


def effects(resource: Resource) -> tuple[str, str]:
    """What becomes of a resource when the first creation of its stack fails, and when its stack is deleted."""
    policy = resource.policies["DeletionPolicy"] or "Delete"
    if resource.type == "AWS::KMS::Key":
        gone = "deleted after 30 days"
    elif resource.type == "AWS::S3::Bucket" and policy == "Delete":
        gone = "deleted once `make destroy` has emptied it"
    else:
        gone = "deleted"
    return {
        "Delete": ("deleted after 30 days" if resource.type == "AWS::KMS::Key" else "deleted", gone),
        "RetainExceptOnCreate": ("deleted after 30 days" if resource.type == "AWS::KMS::Key" else "deleted", "stays"),
        "Snapshot": ("deleted; an empty snapshot stays", "deleted; a snapshot stays"),
        "Retain": ("stays, and the next try makes another", "stays"),
    }[policy]


def rows(templates: Templates) -> set[str]:
    """What the page must say of a profile: each kind of resources, and what becomes of it."""
    keeps = "kept" if templates.profile.keeps_data else "not kept"
    return {
        f"| {HOLDS_DATA[resource.type]} | {keeps} | {' | '.join(effects(resource))} |"
        for resource in templates.every()
        if resource.type in HOLDS_DATA
    }


def rows_said(keeps: str) -> set[str]:
    """What the page says: a row may be about several kinds, and about data that is kept and not kept."""
    found = re.findall(r"^\| (.*?) \| (kept|not kept|either) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    return {
        f"| {kind} | {keeps} | {says} |"
        for kinds, when, says in found
        if when in (keeps, "either")
        for kind in kinds.split(", ")
    }


def test_every_type_is_known_to_hold_data_or_not(templates: Templates) -> None:
    types = {resource.type for resource in templates.every()}
    assert {kind for kind in types if kind not in HOLDS_DATA and not HOLDS_NONE.fullmatch(kind)} == set()
    assert not {kind for kind in HOLDS_DATA if HOLDS_NONE.fullmatch(kind)}


def test_the_page_says_what_becomes_of_everything_that_holds_data(templates: Templates) -> None:
    assert rows_said("kept" if templates.profile.keeps_data else "not kept") == rows(templates)


def test_nothing_outlives_a_failed_first_creation_but_a_snapshot(templates: Templates) -> None:
    for resource in templates.every():
        if resource.type in HOLDS_DATA:
            failed, _ = effects(resource)
            assert failed.startswith("deleted"), resource.name


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """The templates of a first deployment of a stage that keeps its data, and its manifest."""
    outdir = tmp_path_factory.mktemp("first")
    found = synthesized(outdir, context("baseline", first="yes"))
    return found | {"manifest": json.loads((outdir / "manifest.json").read_text())}


def test_the_page_names_what_outlives_its_stack_outside_of_it(templates: Templates) -> None:
    section = PAGE.read_text().partition("\n## Delete the stage\n")[2]
    # A function without a log group of its stack is given one at its first line, which no stack deletes.
    unowned = {
        f"{each.stack}-{each.name}" for each in templates.every("AWS::Lambda::Function") if not owns_its_log(each)
    }
    named = set(re.findall(r"`/aws/lambda/sluice-dev-([\w-]+)\.\.\.`", section))
    assert {each for each in unowned if not any(each.startswith(one) for one in named)} == set()
    assert {one for one in named if not any(each.startswith(one) for each in unowned)} == set()
    # It only says how long a log is kept that RDS made.
    (group,) = [each.properties["LogGroupName"] for each in templates.every("Custom::LogRetention")]
    assert "/aws/rds/instance/" in json.dumps(group)
    assert "`/aws/rds/instance/ID/postgresql`" in section
    assert (
        templates.only("AWS::RDS::DBInstance").properties["DeleteAutomatedBackups"] is not templates.profile.keeps_data
    )
    for name, profile in {"baseline": BASELINE, "large": LARGE}.items():
        assert f"at `{name}` for {profile.database.backup_days}" in section


def owns_its_log(function: Resource) -> bool:
    """Whether its stack has the function's log group."""
    return "Ref" in function.properties.get("LoggingConfig", {}).get("LogGroup", {})


@pytest.mark.parametrize("templates", ["baseline"], indirect=True)
def test_a_first_deployment_differs_by_its_missing_protection_and_by_nothing_else(
    templates: Templates, first: Mapping[str, dict[str, Any]]
) -> None:
    manifest = json.loads((templates.files["data"].parent / "manifest.json").read_text())
    for stack in STACKS:
        protected = manifest["artifacts"][f"sluice-proof-{stack}"]["properties"]["terminationProtection"]
        assert protected is True
        assert first["manifest"]["artifacts"][f"sluice-proof-{stack}"]["properties"]["terminationProtection"] is False
        later = templates.template(stack)
        for name, resource in later["Resources"].items():
            if resource["Type"] == "AWS::RDS::DBInstance":
                assert resource["Properties"]["DeletionProtection"] is True
                assert first[stack]["Resources"][name]["Properties"]["DeletionProtection"] is False
                resource["Properties"]["DeletionProtection"] = False
        assert later == first[stack]


@pytest.mark.parametrize("templates", ["baseline"], indirect=True)
def test_what_holds_data_keeps_the_name_by_which_cloudformation_knows_it(templates: Templates) -> None:
    holding = {
        each.name for each in templates.every() if each.type in HOLDS_DATA and each.type != "AWS::Logs::LogGroup"
    }
    assert holding == KNOWN_BY


def test_what_a_creation_needs_is_there_before_it(templates: Templates) -> None:
    brokers = templates.only("Custom::KafkaBootstrapBrokers")
    policies = {each.name for each in templates.every("AWS::IAM::Policy") if each.name.startswith("StreamBootstrap")}
    assert policies, "no policy allows the call"
    assert policies <= set(brokers.policies["DependsOn"]), "the call would be made before it is allowed"
    (topic,) = [each["Address"]["Ref"] for each in subscribers(templates)]
    admission = [
        each for each in templates.every("AWS::SNS::TopicPolicy") if {"Ref": topic} in each.properties["Topics"]
    ]
    assert {each.name for each in admission} <= set(templates.only("AWS::Budgets::Budget").policies["DependsOn"])
    first, *others = templates.every("AWS::MSK::Topic")
    for earlier, later in pairwise([first, *others]):
        assert earlier.name in later.policies["DependsOn"]


def subscribers(templates: Templates) -> list[dict[str, Any]]:
    """Who is told of the budget, each once."""
    notifications = templates.only("AWS::Budgets::Budget").properties["NotificationsWithSubscribers"]
    found = [each for notification in notifications for each in notification["Subscribers"]]
    return [each for number, each in enumerate(found) if each not in found[:number]]


def test_a_stage_that_keeps_nothing_is_never_protected(templates: Templates) -> None:
    manifest = json.loads((templates.files["data"].parent / "manifest.json").read_text())
    for stack in STACKS:
        properties = manifest["artifacts"][f"sluice-proof-{stack}"]["properties"]
        assert properties["terminationProtection"] is templates.profile.keeps_data


def test_no_update_may_replace_or_delete_what_holds_events(templates: Templates) -> None:
    _, deny = json.loads((ROOT / "infra/stack-policy.json").read_text())["Statement"]
    kinds = set(deny["Condition"]["StringEquals"]["ResourceType"])
    assert kinds == set(HOLDS_DATA) - MAY_GO
    # The policy is that of one stack: what it is about must be there.
    assert {resource.stack for kind in kinds for resource in templates.every(kind)} == {"data"}


def test_a_replacement_of_the_cluster_or_of_a_topic_is_refused_because_its_name_is_taken(
    templates: Templates,
) -> None:
    # CloudFormation creates the new one before it deletes the old one, and two cannot have one name.
    assert templates.only("AWS::MSK::Cluster").properties["ClusterName"] == "sluice-proof-events"
    for topic in templates.every("AWS::MSK::Topic"):
        assert isinstance(topic.properties["TopicName"], str), topic.name


@pytest.mark.parametrize("templates", ["baseline"], indirect=True)
@pytest.mark.parametrize("larger", ["large", "dev"])
def test_no_profile_replaces_what_another_one_deployed(templates: Templates, larger: str, tmp_path: Path) -> None:
    other = synthesize(larger, tmp_path)
    compared = 0
    for kind in ("AWS::MSK::Cluster", "AWS::MSK::Topic", "AWS::RDS::DBInstance", "AWS::ElastiCache::ServerlessCache"):
        paths = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["createOnlyProperties"]
        ours, theirs = ({each.name: each.properties for each in one.every(kind)} for one in (templates, other))
        assert set(ours) == set(theirs), kind
        for name, properties in ours.items():
            for path in paths:
                assert look_up(properties, path) == look_up(theirs[name], path), (name, path)
                compared += 1
    assert compared > 30


def test_the_page_changes_one_value_of_the_cluster_at_a_time() -> None:
    ours, larger = BASELINE.brokers, LARGE.brokers
    changed = {field.name for field in fields(ours) if getattr(ours, field.name) != getattr(larger, field.name)}
    assert set(re.findall(r"^\| [1-9] \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)) == changed


def look_up(properties: Any, path: str) -> Any:
    """Find what stands at a path of a resource's properties, as its schema writes it."""
    for part in path.removeprefix("/properties/").split("/"):
        properties = properties.get(part) if isinstance(properties, dict) else None
    return properties
