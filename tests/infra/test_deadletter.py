"""Dead letters have one end: no consumer forwards them or gives them up, and Kafka has them until they are stored."""

import base64
import json

import pytest

from tests.infra.templates import Templates
from tests.infra.test_publish import READERS, WRITERS


def _network_interfaces_and_traces(action: str) -> bool:
    return action.startswith(("ec2:", "logs:"))


def test_it_may_write_dead_letters_and_neither_read_delete_nor_produce(templates: Templates) -> None:
    grants = templates.granted("deadletter")
    granted = {action: places for action, places in grants.items() if not _network_interfaces_and_traces(action)}
    assert {action for action in granted if not action.startswith("kafka")} == {"s3:PutObject", "kms:GenerateDataKey"}
    (place,) = granted["s3:PutObject"]
    assert place.endswith('"/dead_letters/*"]]}')
    assert not [action for action in granted if "Write" in action]


def test_it_reaches_s3_without_a_way_to_anywhere_else(templates: Templates) -> None:
    (gateway,) = [
        endpoint.properties
        for endpoint in templates.every("AWS::EC2::VPCEndpoint")
        if endpoint.properties["VpcEndpointType"] == "Gateway"
    ]
    assert len(gateway["RouteTableIds"]) == 3
    (statement,) = gateway["PolicyDocument"]["Statement"]
    # Only tier and recall read rollups back. Only salvage lists and deletes objects. Only checkpoint asks for versions.
    assert statement["Action"] == [
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:PutObject",
    ]
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}}
    leaving = [
        group.name
        for group in templates.every("AWS::EC2::SecurityGroup")
        if any(rule["CidrIp"] == "0.0.0.0/0" for rule in group.properties.get("SecurityGroupEgress", []))
    ]
    assert [name for name in leaving if not name.startswith("StreamSecurityGroup")] == [
        name
        for name in leaving
        if name.startswith(
            tuple(
                f"{verb.capitalize()}SecurityGroup"
                for verb in (
                    *(
                        "backtest",
                        "checkpoint",
                        "deadletter",
                        "salvage",
                        "tier",
                        "reconcile",
                        "redrive",
                        "replay",
                        "resend",
                        "match",
                    ),
                    *READERS,
                    *WRITERS,
                )
            )
        )
    ]


@pytest.mark.shows_loss_path(
    fails="more come than the topic may hold",
    section="On the way to the dead letters",
    event_is="in the topic, which is capped in bytes",
    told="`deadletter-unread`, before the cap is reached",
    comes_back="deadletter catches up",
)
def test_an_alarm_fires_before_the_byte_cap_can_delete_an_unread_letter(templates: Templates) -> None:
    (topic,) = [
        topic.properties
        for topic in templates.every("AWS::MSK::Topic")
        if topic.properties["TopicName"] == "dead-letter"
    ]
    cap = int(json.loads(base64.b64decode(topic["Configs"]))["retention.bytes"])
    alarm = templates.alarms()["deadletter-unread"].properties
    assert alarm["MetricName"] == "MaxOffsetLag"
    assert alarm["Threshold"] * 1024 * 1024 <= cap / 2
    # Late enough that a usual batch in flight is no alarm.
    assert alarm["Threshold"] >= 1000
