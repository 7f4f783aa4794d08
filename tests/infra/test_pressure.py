"""Pressure is measured by a function that reads nothing of what it measures, and published for long enough."""

import json

from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from sluice.core.consumers import ACCOUNTED
from sluice.edge.settings import PressureSettings
from tests.infra.templates import Templates


def test_the_buffer_it_measures_by_is_the_time_the_event_sources_give_a_record(templates: Templates) -> None:
    buffer = templates.settings("pressure", PressureSettings).buffer_seconds
    ages = {templates.sources()[each.name].properties["MaximumRecordAgeInSeconds"] for each in ACCOUNTED}
    assert ages == {buffer} == {CONSUMER_RECORD_AGE_SECONDS}


def test_its_snapshot_outlives_two_missed_runs_and_no_more_than_ingest_believes(templates: Templates) -> None:
    minute = 5 if templates.profile.name == "test" else 60
    assert 2 * minute < templates.settings("pressure", PressureSettings).snapshot_seconds <= 600


def test_ingest_may_read_what_it_publishes(templates: Templates) -> None:
    users = {
        user.properties["UserName"]: user.properties["AccessString"]
        for user in templates.every("AWS::ElastiCache::User")
    }
    for verb in ("ingest", "pressure"):
        assert " ~pressure " in users[f"sluice-proof-{verb}"]
        assert " +get " in users[f"sluice-proof-{verb}"]


def test_it_may_ask_cloudwatch_through_a_door_that_admits_no_other_function(templates: Templates) -> None:
    (endpoint,) = [
        one.name
        for one in templates.every("AWS::EC2::VPCEndpoint")
        if "monitoring" in json.dumps(one.properties["ServiceName"])
    ]
    assert endpoint.startswith("NetworkMonitoring")
    (rule,) = [
        rule.name
        for rule in templates.every("AWS::EC2::SecurityGroupIngress")
        if "MonitoringDoor" in json.dumps(rule.properties["GroupId"])
    ]
    assert "Pressure" in rule


def test_its_alarm_lasts_as_long_as_a_level_does(templates: Templates) -> None:
    level = templates.alarms()["pressure-level"].properties
    assert (level["Period"], level["EvaluationPeriods"], level["Statistic"]) == (60, 5, "Maximum")
