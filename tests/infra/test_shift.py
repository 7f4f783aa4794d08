"""A release reaches routes and event sources by an alias that shifts, and goes back on an alarm."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.building_blocks.shift import AT_ONCE
from infra.profiles.profile import Profile
from sluice.core.consumers import CONSUMERS, QUARANTINING
from sluice.core.metrics import RECORDS_FAILED
from tests.infra.options import synthesized
from tests.infra.templates import ROOT, STACKS, Resource, Templates, context

DOORS = {"ingest", "query", "trace", "show", "admin"}
VERSION = "AWS::Lambda::Version"
OF_QUEUES = {"notify", "attend"}
SHIFTING = DOORS | OF_QUEUES | {consumer.name for consumer in CONSUMERS}


def test_routes_and_event_sources_invoke_the_alias_and_nothing_else_has_one(templates: Templates) -> None:
    live = templates.aliases()
    assert set(live) == SHIFTING
    assert {alias.properties["Name"] for alias in live.values()} == {"live"}
    invoked = [
        *(each.properties["IntegrationUri"] for each in templates.every("AWS::ApiGatewayV2::Integration")),
        *(each.properties["FunctionName"] for each in templates.every("AWS::Lambda::EventSourceMapping")),
    ]
    assert len(invoked) == len(DOORS) + len(CONSUMERS) + len(templates.queue_sources())
    assert {json.dumps(each) for each in invoked} == {json.dumps({"Ref": alias.name}) for alias in live.values()}


def test_the_gateway_is_admitted_to_an_alias_before_it_invokes_it(templates: Templates) -> None:
    permissions = {
        permission.properties["FunctionName"]["Ref"]: permission.name
        for permission in templates.every("AWS::Lambda::Permission")
    }
    integrations = list(templates.every("AWS::ApiGatewayV2::Integration"))
    assert len(permissions) == len(integrations) == len(DOORS)
    for integration in integrations:
        assert permissions[integration.properties["IntegrationUri"]["Ref"]] in integration.policies["DependsOn"]


def test_each_alias_shifts_in_the_groups_of_one_application(templates: Templates) -> None:
    application = templates.only("AWS::CodeDeploy::Application")
    assert application.properties == {"ApplicationName": "sluice-proof-releases", "ComputePlatform": "Lambda"}
    profile = templates.profile
    for verb, alias in templates.aliases().items():
        update = _update_policy(templates, alias)
        group = templates.named(update["DeploymentGroupName"]["Ref"])
        assert update["ApplicationName"] == group.properties["ApplicationName"] == "sluice-proof-releases"
        assert (group.stack, group.properties["DeploymentGroupName"]) == (alias.stack, verb)
        minutes = _minutes(profile, verb)
        pace = f"Canary10Percent{minutes}Minutes" if minutes else "AllAtOnce"
        assert group.properties["DeploymentConfigName"] == f"CodeDeployDefault.Lambda{pace}"
        # With no time to shift, an alarm could only refuse the release that mends what it is about.
        assert _ends_shift(group.properties)["Enabled"] == (minutes > 0)
        on_alarm = set() if verb == "show" else {"DEPLOYMENT_STOP_ON_ALARM"}
        assert set(group.properties["AutoRollbackConfiguration"]["Events"]) == {"DEPLOYMENT_FAILURE"} | on_alarm


def test_a_function_goes_back_on_its_own_alarms(templates: Templates) -> None:
    names = {alarm.name: name for name, alarm in templates.alarms().items()}
    quarantining = {consumer.name for consumer in QUARANTINING} - {"alert", "recount"}
    for verb, alias in templates.aliases().items():
        group = templates.named(_update_policy(templates, alias)["DeploymentGroupName"]["Ref"])
        watched = {names[each["Name"]["Ref"]] for each in _ends_shift(group.properties)["Alarms"]}
        further = {"quarantine"} if verb in quarantining else {"unstored"} if verb == "ingest" else set()
        further |= {"release-failing"} if verb in {consumer.name for consumer in CONSUMERS} else set()
        if verb != "show":
            further |= {"release-errors"}
        assert watched == {f"{verb}-{name}" for name in further}


def test_errors_of_other_versions_end_no_shift(templates: Templates) -> None:
    alarms = templates.alarms()
    aliases = templates.aliases()
    assert {verb for verb in aliases if f"{verb}-release-errors" in alarms} == SHIFTING - {"show"}
    for verb in SHIFTING - {"show"}:
        alias = aliases[verb]
        alarm = alarms[f"{verb}-release-errors"].properties
        assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == {
            "FunctionName": alias.properties["FunctionName"],
            "Resource": {"Fn::Join": ["", [alias.properties["FunctionName"], ":live"]]},
            "ExecutedVersion": alias.properties["FunctionVersion"],
        }
        assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/Lambda", "Errors", "Sum")
        # Before a shift there are no values of the version: the alarm is off, whatever fails.
        assert alarm["TreatMissingData"] == "notBreaching"
        assert "AlarmActions" not in alarm


def test_a_consumer_that_gives_its_records_back_ends_its_shift(templates: Templates) -> None:
    for consumer in CONSUMERS:
        alarm = templates.alarms()[f"{consumer.name}-release-failing"].properties
        assert alarm["MetricName"] == RECORDS_FAILED.name
        assert alarm["Dimensions"] == [{"Name": "service", "Value": consumer.name}]
        assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["Threshold"]) == (60, 2, 0)


def test_every_alarm_that_rolls_back_can_fire_while_its_release_shifts(templates: Templates) -> None:
    for verb, alias in templates.aliases().items():
        group = templates.named(_update_policy(templates, alias)["DeploymentGroupName"]["Ref"])
        minutes = _minutes(templates.profile, verb)
        if minutes == AT_ONCE:
            continue
        for each in _ends_shift(group.properties)["Alarms"]:
            alarm = templates.named(each["Name"]["Ref"]).properties
            # CloudWatch looks at sliding periods each minute: one sum above the bound is enough, whenever it is.
            needed = 1 if alarm["EvaluationPeriods"] == 1 else alarm["EvaluationPeriods"] * _period(alarm) // 60
            assert needed < minutes, each


def test_nothing_that_shifts_waits_for_itself(templates: Templates) -> None:
    for stack in STACKS:
        _in_order(templates.template(stack)["Resources"])


@pytest.mark.parametrize("templates", ["dev"], indirect=True)
def test_a_version_does_not_change_with_a_reservation(templates: Templates, tmp_path: Path) -> None:
    # Lambda publishes no version of what has not changed: the update would fail.
    shared = synthesized(tmp_path, context("dev", reserve="no"))
    versions = {version.name for version in templates.every(VERSION)}
    assert versions == {
        name for stack in STACKS for name, each in shared[stack]["Resources"].items() if each["Type"] == VERSION
    }


def test_a_release_without_a_shift_is_live_at_once_whatever_its_alarms_say(tmp_path: Path) -> None:
    resources = synthesized(tmp_path, context("baseline", shift="no"))["pipeline"]["Resources"]
    groups = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::CodeDeploy::DeploymentGroup"]
    assert {each["DeploymentConfigName"] for each in groups} == {"CodeDeployDefault.LambdaAllAtOnce"}
    assert {_ends_shift(each)["Enabled"] for each in groups} == {False}


@pytest.mark.parametrize("templates", ["baseline"], indirect=True)
def test_the_page_says_how_long_the_longest_chain_of_shifts_takes(templates: Templates) -> None:
    profile = templates.profile
    live = {alias.name: verb for verb, alias in templates.aliases().items()}
    minutes = {verb: _minutes(profile, verb) for verb in live.values()}

    def longest(verb: str) -> int:
        before = templates.aliases()[verb].policies["DependsOn"] or ()
        return minutes[verb] + max((longest(live[name]) for name in before if name in live), default=0)

    page = (ROOT / "docs/deploy.md").read_text()
    assert f"{max(longest(verb) for verb in SHIFTING - {'attend'})} minutes" in page


def _minutes(profile: Profile, verb: str) -> int:
    if verb == "show":
        return AT_ONCE  # A page loads its files in many requests: all must meet one release.
    return profile.ingest.shift_minutes if verb == "ingest" else profile.shift_minutes


def _ends_shift(group: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = group.get("AlarmConfiguration", {"Enabled": False, "Alarms": []})
    return found


def _update_policy(templates: Templates, alias: Resource) -> Mapping[str, Any]:
    policy = templates.template(alias.stack)["Resources"][alias.name]["UpdatePolicy"]
    found: Mapping[str, Any] = policy["CodeDeployLambdaAliasUpdate"]
    return found


def _period(alarm: Mapping[str, Any]) -> int:
    periods = [each["MetricStat"]["Period"] for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    return max(int(period) for period in (*periods, alarm.get("Period", 0)))


def _in_order(resources: Mapping[str, Any]) -> list[str]:
    """Return a stack's resources in an order in which it can be created, as CloudFormation looks for one."""
    waiting = {name: _needed(each) & set(resources) - {name} for name, each in resources.items()}
    order: list[str] = []
    while waiting:
        ready = [name for name, needs in waiting.items() if not needs & set(waiting)]
        assert ready, f"circular: {sorted(waiting)[:10]}"
        order += ready
        for name in ready:
            del waiting[name]
    return order


def _needed(value: Any) -> set[str]:
    """Return every name that a resource refers to, in its properties, update policy and stated dependencies."""
    if isinstance(value, dict):
        own = {str(value["Ref"])} if set(value) == {"Ref"} else set()
        if set(value) == {"Fn::GetAtt"}:
            own = {str(value["Fn::GetAtt"][0])}
        stated = set(value.get("DependsOn", ())) if "Type" in value else set()
        return own | stated | {name for each in value.values() for name in _needed(each)}
    return {name for each in value for name in _needed(each)} if isinstance(value, list) else set()
