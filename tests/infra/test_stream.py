"""The Kafka cluster keeps what it acknowledged, and only authorized clients can read it."""

import base64
import json
from typing import Any

import pytest

from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from tests.infra.templates import Templates


def _configs(topic: dict[str, Any]) -> dict[str, str]:
    configs: dict[str, str] = json.loads(base64.b64decode(topic["Configs"]))
    return configs


def _topics(templates: Templates) -> dict[str, dict[str, Any]]:
    return {topic.properties["TopicName"]: topic.properties for topic in templates.every("AWS::MSK::Topic")}


def test_the_four_topics_have_three_replicas_and_two_must_acknowledge(templates: Templates) -> None:
    topics = _topics(templates)
    assert set(topics) == {"raw-events", "replay-events", "dead-letter", "alert-events"}
    for name, topic in topics.items():
        assert topic["ReplicationFactor"] == 3, name
        assert _configs(topic)["min.insync.replicas"] == "2", name


def test_what_is_replayed_has_a_partition_for_each_of_raw_events(templates: Templates) -> None:
    topics = _topics(templates)
    assert topics["replay-events"]["PartitionCount"] == topics["raw-events"]["PartitionCount"]


@pytest.mark.shows_loss_path(
    fails="Kafka would delete what a consumer has not read",
    section="Between Kafka and the stores",
    event_is="nowhere: consumers give records up two hours sooner",
    told="`archive-late`, `aggregate-late`",
    comes_back="as for four hours above",
)
def test_kafka_keeps_an_event_longer_than_consumers_may_take(templates: Templates) -> None:
    configs = _configs(_topics(templates)["raw-events"])
    assert int(configs["retention.ms"]) == 6 * 3600 * 1000 > CONSUMER_RECORD_AGE_SECONDS * 1000
    assert int(configs["segment.ms"]) < int(configs["retention.ms"])


def test_dead_letters_are_kept_for_30_days_and_capped_in_bytes_that_fit_the_disks(templates: Templates) -> None:
    topic = _topics(templates)["dead-letter"]
    configs = _configs(topic)
    assert int(configs["retention.ms"]) == 30 * 24 * 3600 * 1000
    held = int(configs["retention.bytes"]) * topic["PartitionCount"] * 3
    disks = templates.profile.brokers.storage_gib * templates.profile.brokers.count * 1024**3
    assert held < disks / 3


def test_an_undeclared_topic_is_never_made(templates: Templates) -> None:
    server = templates.only("AWS::MSK::Configuration").properties["ServerProperties"].splitlines()
    assert "auto.create.topics.enable=false" in server
    assert "unclean.leader.election.enable=false" in server
    assert "min.insync.replicas=2" in server
    configured = templates.only("AWS::MSK::Cluster").properties["ConfigurationInfo"]
    assert configured["Revision"]["Fn::GetAtt"][1] == "LatestRevision.Revision"


def test_brokers_take_iam_over_tls_only_and_encrypt_their_disks_with_our_key(templates: Templates) -> None:
    cluster = templates.only("AWS::MSK::Cluster").properties
    assert cluster["ClientAuthentication"] == {"Sasl": {"Iam": {"Enabled": True}}}
    assert cluster["EncryptionInfo"]["EncryptionInTransit"] == {"ClientBroker": "TLS", "InCluster": True}
    assert "Fn::GetAtt" in cluster["EncryptionInfo"]["EncryptionAtRest"]["DataVolumeKMSKeyId"]
    assert "ConnectivityInfo" not in cluster["BrokerNodeGroupInfo"]


def test_brokers_stand_evenly_in_three_zones(templates: Templates) -> None:
    cluster = templates.only("AWS::MSK::Cluster").properties
    assert len(cluster["BrokerNodeGroupInfo"]["ClientSubnets"]) == 3
    assert cluster["NumberOfBrokerNodes"] % 3 == 0


def test_event_source_pollers_can_reach_the_brokers(templates: Templates) -> None:
    inside = [
        rule.properties
        for rule in templates.every("AWS::EC2::SecurityGroupIngress")
        if rule.properties["SourceSecurityGroupId"] == rule.properties["GroupId"]
    ]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in inside] == [(9098, 9098)]


def test_the_alarm_on_disks_looks_at_every_broker_because_the_cluster_has_no_figure(templates: Templates) -> None:
    metrics = templates.alarms()["stream-disk"].properties["Metrics"]
    asked = [one["MetricStat"]["Metric"] for one in metrics if "MetricStat" in one]
    assert {one["MetricName"] for one in asked} == {"KafkaDataLogsDiskUsed"}
    brokers = {each["Value"] for one in asked for each in one["Dimensions"] if each["Name"] == "Broker ID"}
    assert brokers == {str(number) for number in range(1, templates.profile.brokers.count + 1)}
