"""Who hears of alarms: two topics, an address if one is given, and a warning if none is."""

from pathlib import Path

import pytest
from aws_cdk import Stack
from aws_cdk.assertions import Annotations, Match, Template

from infra.stacks import define
from tests.infra.templates import Templates, context


def data_stack(tmp_path: Path, **changed: object) -> Stack:
    found = define(context("test", **changed), outdir=str(tmp_path)).node.find_child("sluice-proof-data")
    assert isinstance(found, Stack)
    return found


def listener(template: Template) -> str:
    (said,) = [said for name, said in template.find_outputs("*").items() if name.startswith("OperationsListener")]
    return str(said["Value"])


def test_without_an_address_the_deployment_says_that_no_one_is_subscribed(tmp_path: Path) -> None:
    stack = data_stack(tmp_path)
    found = Annotations.from_stack(stack).find_warning(
        "*", Match.string_like_regexp("No one is subscribed to the alarms: deploy with ALARM_EMAIL=")
    )
    assert len(found) == 1
    template = Template.from_stack(stack)
    template.resource_properties_count_is("AWS::SNS::Subscription", {"Protocol": "email"}, 0)
    assert listener(template).startswith("No one is subscribed")


def test_an_address_gets_pages_and_tickets(tmp_path: Path) -> None:
    stack = data_stack(tmp_path, alarm_email="oncall@example.org")
    assert Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("No one is subscribed")) == []
    template = Template.from_stack(stack)
    subscribed = {"Protocol": "email", "Endpoint": "oncall@example.org"}
    template.resource_properties_count_is("AWS::SNS::Subscription", subscribed, 2)
    assert listener(template) == "oncall@example.org"


@pytest.mark.parametrize("address", ["oncall", "@", "@example.org"])
def test_what_is_no_address_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ValueError, match="is no e-mail address"):
        define(context("test", alarm_email=address), outdir=str(tmp_path))


def test_alarms_may_send_to_both_topics_and_budgets_to_that_of_tickets(templates: Templates) -> None:
    policies = [each.properties for each in templates.every("AWS::SNS::TopicPolicy") if "Operations" in each.name]
    may = {
        ("pages" if "Pages" in str(policy["Topics"]) else "operations", statement["Principal"]["Service"])
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    }
    assert may == {
        ("pages", "cloudwatch.amazonaws.com"),
        ("operations", "cloudwatch.amazonaws.com"),
        ("operations", "budgets.amazonaws.com"),
    }


def test_an_outage_is_made_after_its_signs_and_its_cause(templates: Templates) -> None:
    alarms = {f"sluice-proof-{name}": alarm for name, alarm in templates.alarms().items()}
    alarms |= {outage.properties["AlarmName"]: outage for outage in templates.outages()}
    for outage in templates.outages():
        rule, cause = outage.properties["AlarmRule"], outage.properties.get("ActionsSuppressor")
        for name in [*(name for name in alarms if f'"{name}"' in rule), *([cause] if cause else [])]:
            assert templates.waits_for(outage, alarms[name]), f"{outage.name} {name}"
