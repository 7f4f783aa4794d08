"""No role may do more than it needs, and nothing is open to the world."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.building_blocks.state_machine import DELIVERY_OF_LOGS
from tests.infra.templates import Resource, Templates, listed

# Every statement with a wildcard, by where it stands and what it allows, with the reason why it cannot be narrower.
NETWORK_INTERFACES = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
ENDPOINTS: tuple[tuple[str, ...], ...] = (
    ("cloudwatch:GetMetricData",),
    ("firehose:PutRecordBatch",),
    ("kms:Sign", "kms:Verify"),
    ("lambda:InvokeFunction",),
    ("secretsmanager:GetSecretValue",),
    ("sns:Publish",),
    ("states:DescribeExecution", "states:StartExecution"),
)
ALLOWED = (
    {
        ("*", NETWORK_INTERFACES): "Lambda makes interfaces with ids of its own",
        (
            "*",
            tuple(sorted((*NETWORK_INTERFACES, "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs"))),
        ): "an event source also looks for the brokers' network; these calls have no resources",
        (
            "*",
            (
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:ListBucket",
                "s3:ListBucketVersions",
                "s3:PutObject",
            ),
        ): "the network's way to S3, which leads to buckets of this account only",
        (
            "*",
            ("logs:DeleteRetentionPolicy", "logs:PutRetentionPolicy"),
        ): "the CDK's own function says how long PostgreSQL's log is kept; RDS makes the group",
        (
            "*",
            tuple(sorted((*NETWORK_INTERFACES, "cloudwatch:GetMetricData"))),
        ): "pressure also asks for the disks; metrics have no resources",
        (
            "*",
            ("kms:Decrypt", "kms:GenerateDataKey"),
        ): "a key's own policy for alarms and budgets of this account; * is the key itself",
        (
            "function:sluice-proof-*",
            ("lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"),
        ): "CodeDeploy moves the aliases of all functions that shift, in one role",
        ("*", ("cloudwatch:DescribeAlarms",)): "and looks at their alarms, which the call does not name as resources",
        ("DeadLetter/dead_letters/*", ("s3:PutObject",)): "deadletter names its objects by what is in them",
        ("*", ("kms:*",)): "a key's own policy: it hands the decision to the account's roles, and * is the key itself",
        ("FailedBatches/*", ("s3:PutObject",)): "the event source names its objects",
        ("Raw/raw/*", ("s3:AbortMultipartUpload", "s3:PutObject")): "Firehose names its objects",
        ("Raw/errors/*", ("s3:AbortMultipartUpload", "s3:PutObject")): "Firehose names its objects",
        ("FailedBatches/aws/lambda/*", ("s3:DeleteObject", "s3:GetObject")): "salvage takes what an event source left",
        ("FailedBatches/salvaged/*", ("s3:PutObject",)): "and keeps it under the name it had",
        ("Raw/errors/*", ("s3:DeleteObject", "s3:GetObject")): "likewise, what Firehose left",
        ("Raw/salvaged/*", ("s3:PutObject",)): "likewise",
        ("Rollups/staging/*", ("s3:GetObject", "s3:PutObject")): "tier names its objects by what is in them",
        ("Rollups/rollups/*", ("s3:GetObject", "s3:PutObject")): "likewise",
        (
            "Rollups/rollups/*",
            ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
        ): "replay replaces these, likewise named",
        ("Rollups/manifests/*", ("s3:PutObject",)): "likewise, by their days",
        (
            "Rollups/rollups/*",
            ("s3:GetObject",),
        ): "query says which objects recall is to read; Athena finds an analyst's",
        (
            "Raw/raw/*",
            ("s3:GetObject",),
        ): "reconcile counts what Firehose has written; Athena finds the files of seek and of an analyst",
        ("DeadLetter/dead_letters/*", ("s3:GetObject",)): "likewise deadletter",
        (
            "QueryResults/*",
            ("s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"),
        ): "Athena names its results, in the name of seek or of an analyst",
        ("Control/ids/*", ("s3:GetObject", "s3:PutObject")): "match names its objects by the files whose ids they hold",
        ("Control/notified/*", ("s3:GetObject", "s3:PutObject")): "notify names its notes by destination and incident",
        (
            "secret:sluice-proof-destinations/*",
            ("secretsmanager:GetSecretValue",),
        ): "people create these secrets, and notify reads them",
        ("Control/published/*", ("s3:GetObject",)): "each kind of control data is an object",
        ("Control/published/*", ("s3:GetObject", "s3:PutObject")): "likewise, for those who publish",
        (
            "Checkpoints/checkpoints/*",
            ("s3:GetObjectVersion", "s3:PutObject"),
        ): "checkpoint names its objects by the time and the entry",
        ("Checkpoints/checkpoints/*", ("s3:GetObjectVersion",)): "who verifies downloads them",
        ("*", tuple(sorted(DELIVERY_OF_LOGS))): "a machine's log is set up by calls that name no group",
        ("*", ("kms:Decrypt",)): "a key's own policy for what delivers that log; * is the key itself",
        ("Control/replays/*", ("s3:GetObject",)): "the machine's map reads the list of chunks of each replay",
        (
            "Control/replays/*",
            ("s3:GetObject", "s3:PutObject"),
        ): "replay names lists by what is in them, or by their replay",
        (
            "execution:sluice-proof-replay:*",
            ("states:DescribeExecution",),
        ): "replay asks whether an execution still runs",
        (
            "execution:sluice-proof-replay:*",
            ("states:DescribeExecution", "states:StopExecution"),
        ): "a machine looks after the executions of its maps, which Step Functions names",
        ("execution:sluice-proof-replay/*:*", ("states:DescribeExecution", "states:StopExecution")): "likewise",
        ("MigrateFunction:*", ("lambda:InvokeFunction",)): "the trigger starts the version it was just given",
    }
    | {
        ("*", actions): "an endpoint's way to a service; the callers' roles say on which resources"
        for actions in ENDPOINTS
    }
    | {
        (
            route,
            ("execute-api:Invoke",),
        ): "a role for people has a route, of every fleet, key, replay, letter, incident and so on"
        for route in (
            "GET/v1/admin/fleets/*",
            "GET/v1/admin/fleets/*/keys",
            "GET/v1/admin/fleets/*/keys/*",
            "PATCH/v1/admin/fleets/*",
            "POST/v1/admin/fleets/*/archive",
            "POST/v1/admin/fleets/*/keys",
            "POST/v1/admin/fleets/*/keys/*/revoke",
            "POST/v1/admin/fleets/*/keys/*/rotate",
            "GET/v1/admin/fleets/*/rules",
            "GET/v1/admin/fleets/*/rules/*",
            "PATCH/v1/admin/fleets/*/rules/*",
            "POST/v1/admin/fleets/*/rules",
            "POST/v1/admin/fleets/*/rules/*/archive",
            "GET/v1/admin/fleets/*/rule-report",
            "POST/v1/admin/fleets/*/backtests",
            "GET/v1/admin/backtests/*",
            "GET/v1/admin/destinations/*",
            "PATCH/v1/admin/destinations/*",
            "POST/v1/admin/destinations/*/archive",
            "POST/v1/admin/destinations/*/test",
            "GET/v1/admin/replays/*",
            "POST/v1/admin/replays/*/cancel",
            "POST/v1/admin/consumers/*/allow",
            "GET/v1/admin/dead-letters/groups/*/proposal",
            "GET/v1/admin/dead-letters/letters/*",
            "GET/v1/admin/redrives/*",
            "POST/v1/admin/redrives/*/cancel",
            "GET/v1/admin/alerts/*",
            "POST/v1/admin/alerts/*/acknowledge",
            "POST/v1/admin/alerts/*/resolve",
            "GET/v1/admin/fleets/*/devices/*/alerts",
            "POST/v1/admin/silences/*/end",
        )
    }
)
WHERE_DATA_IS_KEPT = {
    ("*", ("kms:DescribeKey", "kms:GenerateDataKey")): "a key's own policy for the trail; * is the key itself",
    (
        "*",
        ("cloudtrail:DescribeTrails", "cloudtrail:ListPublicKeys"),
    ): "an auditor checks the trail; neither has a resource",
    ("Trail/AWSLogs/*", ("s3:GetObject",)): "an auditor reads the trail's files",
    ("Trail/AWSLogs/*", ("s3:PutObject",)): "CloudTrail names its files by account, region and time",
}
MANAGED = {
    # The three functions that the CDK brings may write their own logs.
    "AWS679f53fac002430cb0da5b7982bd2287ServiceRoleC1EA0FF2",
    "LogRetentionaae0aa3c5b4d4f87b02d85b201efdd8aServiceRole9741ECFB",
    "AWSCDKTriggerCustomResourceProviderCustomResourceProviderRoleE18FAF0A",
}


def _statements(resource: Resource) -> Iterator[dict[str, Any]]:
    properties = resource.properties
    documents = [properties.get("PolicyDocument"), properties.get("KeyPolicy")]
    documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    for document in documents:
        if document is not None:
            yield from document["Statement"]


def _allowing(templates: Templates) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for resource in templates.every():
        for statement in _statements(resource):
            if statement["Effect"] == "Allow":
                yield resource, statement


def _place(resource: Any) -> str:
    """Return an ARN in short: our resource, and the part of it."""
    if isinstance(resource, str):
        return resource
    parts = resource.get("Fn::Join", ["", [resource]])[1]
    if ":execute-api:us-east-1:" in parts:
        return str(parts[-1]).removeprefix("/$default/")  # a route
    if ":secretsmanager:us-east-1:" in parts:
        return str(parts[-1]).removeprefix(":")  # secrets that people create
    if ":lambda:us-east-1:" in parts:
        return str(parts[-1]).removeprefix(":")  # the stage's functions
    if ":states:us-east-1:" in parts:
        return str(parts[-1]).removeprefix(":")  # executions of a machine
    name = json.dumps(parts[0])
    for known in (
        "Checkpoints",
        "Control",
        "DeadLetter",
        "FailedBatches",
        "MigrateFunction",
        "QueryResults",
        "Raw",
        "Rollups",
        "Trail",
    ):
        if known in name:
            return known + "".join(part for part in parts[1:] if isinstance(part, str))
    return json.dumps(resource)


def test_every_wildcard_has_a_reason(templates: Templates) -> None:
    found = set()
    for _, statement in _allowing(templates):
        actions = tuple(sorted(listed(statement["Action"])))
        for resource in listed(statement.get("Resource", [])):
            if "*" in json.dumps(resource) or any("*" in action for action in actions):
                found.add((_place(resource), actions))
    assert found == set(ALLOWED) | (set(WHERE_DATA_IS_KEPT) if templates.profile.keeps_data else set())


def test_only_the_cdks_own_functions_use_managed_policies(templates: Templates) -> None:
    managed = {role.name for role in templates.every("AWS::IAM::Role") if role.properties.get("ManagedPolicyArns")}
    assert managed == MANAGED


def test_ingest_may_write_events_and_dead_letters_and_nothing_else_in_kafka(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "ingest")
    assert {action for action, _ in kafka} == {
        "kafka-cluster:Connect",
        "kafka-cluster:WriteDataIdempotently",
        "kafka-cluster:DescribeTopic",
        "kafka-cluster:WriteData",
    }
    assert _topics_of(kafka, "WriteData") == _topics_of(kafka, "DescribeTopic") == {"RawEvents", "DeadLetter"}


def test_archive_may_read_its_topic_in_its_group_and_write_dead_letters(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "archive")
    assert _topics_of(kafka, "ReadData") == {"RawEvents"}
    assert _topics_of(kafka, "WriteData") == {"DeadLetter"}
    _joins_only(kafka, "archive")


def test_aggregate_may_read_its_topic_in_its_group_and_write_dead_letters(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "aggregate")
    assert _topics_of(kafka, "ReadData") == {"RawEvents"}
    assert _topics_of(kafka, "WriteData") == {"DeadLetter"}
    _joins_only(kafka, "aggregate")


def test_detect_may_read_its_topic_in_its_group_and_write_verdicts_and_dead_letters(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "detect")
    assert _topics_of(kafka, "ReadData") == {"RawEvents"}
    assert _topics_of(kafka, "WriteData") == {"AlertEvents", "DeadLetter"}
    _joins_only(kafka, "detect")


def test_learn_may_write_verdicts_and_nothing_else_in_kafka(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "learn")
    assert not any("Read" in action or "Group" in action for action, _ in kafka)
    assert _topics_of(kafka, "WriteData") == {"AlertEvents"}


def test_resend_may_write_replayed_events_and_nothing_else_in_kafka(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "resend")
    assert not any("Read" in action or "Group" in action for action, _ in kafka)
    assert _topics_of(kafka, "WriteData") == {"ReplayEvents"}


def test_redrive_may_write_events_and_nothing_else_in_kafka(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "redrive")
    assert not any("Read" in action or "Group" in action for action, _ in kafka)
    assert _topics_of(kafka, "WriteData") == {"RawEvents"}


def test_recount_may_read_its_topic_in_its_group_and_write_dead_letters(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "recount")
    assert _topics_of(kafka, "ReadData") == {"ReplayEvents"}
    assert _topics_of(kafka, "WriteData") == {"DeadLetter"}
    _joins_only(kafka, "recount")


def test_replay_may_ask_how_far_topics_are_and_neither_reads_nor_writes_them(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "replay")
    assert {action for action, _ in kafka} == {
        f"kafka-cluster:{may}" for may in ("Connect", "DescribeTopic", "DescribeGroup")
    }
    assert _topics_of(kafka, "DescribeTopic") == {"RawEvents", "ReplayEvents"}
    assert set(_groups_of(kafka)) <= {"recount", "replay"}


def test_deadletter_may_read_its_topic_in_its_group_and_not_write(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "deadletter")
    assert not any("Write" in action for action, _ in kafka)
    assert _topics_of(kafka, "ReadData") == {"DeadLetter"}
    _joins_only(kafka, "deadletter")


def _topics_of(kafka: list[tuple[str, str]], action: str) -> set[str]:
    """Return the topics on which an action is granted."""
    return {
        next(topic for topic in ("RawEvents", "ReplayEvents", "DeadLetter", "AlertEvents") if f"Stream{topic}" in place)
        for granted, place in kafka
        if granted == f"kafka-cluster:{action}"
    }


def _groups_of(kafka: list[tuple[str, str]]) -> list[str]:
    """Return the consumer groups about which anything is granted."""
    return sorted(place.rstrip('"]}').rpartition("/")[2] for action, place in kafka if action.endswith("Group"))


def _joins_only(kafka: list[tuple[str, str]], group: str) -> None:
    groups = [place for action, place in kafka if action.endswith("Group")]
    assert len(groups) == 2
    assert all(":group/" in place and place.endswith(f'"/{group}"]]}}') for place in groups)


def _kafka_grants(templates: Templates, verb: str) -> list[tuple[str, str]]:
    return [
        (action, place)
        for action, places in templates.granted(verb).items()
        if action.startswith("kafka-cluster:")
        for place in places
    ]


@pytest.mark.parametrize(("verb", "watched"), [("roll", ["aggregate"]), ("pressure", ["aggregate", "archive"])])
def test_who_asks_how_far_consumers_are_reads_nothing_of_their_topic(
    templates: Templates, verb: str, watched: list[str]
) -> None:
    kafka = _kafka_grants(templates, verb)
    assert {action for action, _ in kafka} == {
        f"kafka-cluster:{may}" for may in ("Connect", "DescribeTopic", "DescribeGroup")
    }
    assert _topics_of(kafka, "DescribeTopic") == {"RawEvents"}
    assert _groups_of(kafka) == watched


def test_reconcile_may_read_any_offset_and_moves_no_groups(templates: Templates) -> None:
    kafka = _kafka_grants(templates, "reconcile")
    assert {action for action, _ in kafka} == {
        "kafka-cluster:Connect",
        "kafka-cluster:DescribeTopic",
        "kafka-cluster:ReadData",
        "kafka-cluster:DescribeGroup",
    }
    assert _topics_of(kafka, "ReadData") == {"RawEvents"}
    assert _groups_of(kafka) == ["aggregate", "archive", "reconcile"]


def test_functions_invoke_those_they_ask_and_no_other(templates: Templates) -> None:
    names = {function.name: verb for verb, function in templates.functions().items()}
    invoked: dict[str, set[str]] = {}
    for verb in templates.functions():
        for place in templates.granted(verb).get("lambda:InvokeFunction", []):
            invoked.setdefault(verb, set()).add(names[json.loads(place)["Fn::GetAtt"][0]])
    assert invoked == {
        "query": {"lookup", "recall", "redrive"},
        "learn": {"lookup"},
        "trace": {"seek"},
        "reconcile": {"archive", "aggregate"},
        "redrive": {"archive", "aggregate"},
        "admin": {"notify", "redrive", "replay"},
    }
    (door,) = [group for group in templates.every("AWS::EC2::SecurityGroup") if "LambdaDoor" in group.name]
    admitted = {
        _verb_of_group(rule.properties["SourceSecurityGroupId"])
        for rule in templates.every("AWS::EC2::SecurityGroupIngress")
        if door.name in json.dumps(rule.properties["GroupId"])
    }
    assert admitted == set(invoked)


def _verb_of_group(group: Any) -> str:
    """Return the function whose security group this is."""
    return str(group["Fn::GetAtt"][0]).partition("SecurityGroup")[0].lower()


def _verb(role: str) -> str:
    """Return the function whose role this is."""
    return role.partition("Role")[0].lower()


def test_functions_log_in_to_the_database_and_the_cache_as_themselves(templates: Templates) -> None:
    grants = {
        (role.name, action): json.dumps(statement["Resource"])
        for role, statement in _allowing(templates)
        for action in listed(statement["Action"])
    }
    databases = {_verb(role): place for (role, action), place in grants.items() if action == "rds-db:connect"}
    assert {"query", "aggregate"} <= set(databases)
    assert "ingest" not in databases
    for verb, place in databases.items():
        assert ":dbuser:" in place
        assert f"/sluice_{verb}" in place
    caches = {_verb(role): place for (role, action), place in grants.items() if action == "elasticache:Connect"}
    assert {"ingest", "archive", "aggregate"} <= set(caches)
    for verb, place in caches.items():
        assert f"{verb.capitalize()}User" in place
    roles = {role.name for role in templates.every("AWS::IAM::Role")}
    readers = {_verb(role) for role, action in grants if action == "secretsmanager:GetSecretValue" and role in roles}
    # notify reads those of destinations alone (test_notify), and probe its own (test_probe).
    assert readers == {"migrate", "notify", "probe"}


def test_the_network_has_no_way_in_or_out(templates: Templates) -> None:
    kinds = {resource.type for resource in templates.every()}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::Route"}


def test_no_security_group_admits_an_address_instead_of_a_group(templates: Templates) -> None:
    for group in templates.every("AWS::EC2::SecurityGroup"):
        assert "SecurityGroupIngress" not in group.properties, group.name
    for rule in templates.every("AWS::EC2::SecurityGroupIngress"):
        assert "SourceSecurityGroupId" in rule.properties, rule.name
        assert rule.properties["FromPort"] == rule.properties["ToPort"] in {443, 5432, 6379, 9098}, rule.name
