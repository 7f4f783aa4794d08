"""Pressure is measured every minute by a function that reads nothing of what it measures, and somebody hears of it."""

import json
from dataclasses import replace

import pytest

from infra.profiles import BASELINE
from infra.settings import CONSUMER_RECORD_AGE_SECONDS
from sluice.edge.settings import BrokerSettings, CacheSettings, PressureSettings
from tests.infra.templates import Templates


def variables(templates: Templates) -> dict[str, str]:
    found: dict[str, str] = templates.functions()["pressure"].properties["Environment"]["Variables"]
    # What is known at deployment only, and the region, which Lambda sets.
    return {name: value if isinstance(value, str) else "1" for name, value in found.items()} | {"AWS_REGION": "here"}


def test_its_settings_are_what_its_code_reads(templates: Templates) -> None:
    settings = PressureSettings.from_environ(variables(templates))
    assert (settings.raw_events_topic, settings.kafka_cluster) == ("raw-events", "sluice-proof-events")
    assert settings.kafka_brokers == templates.only("AWS::MSK::Cluster").properties["NumberOfBrokerNodes"]
    assert BrokerSettings.from_environ(variables(templates)).kafka_auth == "iam"
    assert CacheSettings.from_environ(variables(templates)).cache_user == "sluice-proof-pressure"


def test_the_buffer_it_measures_by_is_the_time_the_event_sources_give_a_record(templates: Templates) -> None:
    settings = PressureSettings.from_environ(variables(templates))
    ages = {templates.sources()[each].properties["MaximumRecordAgeInSeconds"] for each in ("archive", "aggregate")}
    assert ages == {settings.buffer_seconds} == {CONSUMER_RECORD_AGE_SECONDS}


def test_its_word_outlives_two_missed_runs_and_no_more_than_ingest_believes(templates: Templates) -> None:
    settings = PressureSettings.from_environ(variables(templates))
    minute = 5 if templates.profile.name == "test" else 60
    assert 2 * minute < settings.snapshot_seconds <= 600


def test_ingest_may_read_what_it_publishes(templates: Templates) -> None:
    users = {
        user.properties["UserName"]: user.properties["AccessString"]
        for user in templates.every()
        if user.type == "AWS::ElastiCache::User"
    }
    for verb in ("ingest", "pressure"):
        assert " ~pressure " in users[f"sluice-proof-{verb}"]
        assert " +get " in users[f"sluice-proof-{verb}"]


def test_it_may_ask_cloudwatch_through_a_door_that_admits_nobody_else(templates: Templates) -> None:
    (endpoint,) = [
        one.name
        for one in templates.every("AWS::EC2::VPCEndpoint")
        if "monitoring" in json.dumps(one.properties["ServiceName"])
    ]
    assert endpoint.startswith("NetworkMonitoring")
    rules = [
        rule.name
        for rule in templates.every("AWS::EC2::SecurityGroupIngress")
        if "MonitoringDoor" in json.dumps(rule.properties["GroupId"])
    ]
    assert len(rules) == 1
    assert "Pressure" in rules[0]


def test_somebody_hears_of_pressure_of_refusals_and_of_not_knowing(templates: Templates) -> None:
    alarms = templates.alarms()
    for name, metric, service in (
        ("pressure-level", "PressureLevel", "pressure"),
        ("pressure-disk-unknown", "DiskUnknown", "pressure"),
        ("ingest-refusing", "RefusedForPressure", "ingest"),
        ("ingest-uninformed", "PressureUnknown", "ingest"),
    ):
        alarm = alarms[name].properties
        assert alarm["MetricName"] == metric
        assert alarm["Dimensions"] == [{"Name": "service", "Value": service}]
        assert alarm["Threshold"] == 0
    level = alarms["pressure-level"].properties
    assert (level["Period"], level["EvaluationPeriods"], level["Statistic"]) == (60, 5, "Maximum")


def test_the_alarm_on_disks_looks_at_every_broker_because_the_cluster_has_no_figure(templates: Templates) -> None:
    metrics = templates.alarms()["stream-disk"].properties["Metrics"]
    asked = [one["MetricStat"]["Metric"] for one in metrics if "MetricStat" in one]
    assert {one["MetricName"] for one in asked} == {"KafkaDataLogsDiskUsed"}
    brokers = {each["Value"] for one in asked for each in one["Dimensions"] if each["Name"] == "Broker ID"}
    assert brokers == {str(number) for number in range(1, templates.profile.brokers.count + 1)}


def test_settings_that_could_not_work_are_refused() -> None:
    with pytest.raises(ValueError, match="must be able to say that nobody answers"):
        replace(BASELINE.pressure, hold_seconds=60)
