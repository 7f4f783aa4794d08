"""Lookup is outside the private network, so it may reach nothing of ours."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.profiles import BASELINE
from infra.settings import Deployment
from infra.stacks import define
from tests.infra.templates import STACKS, Templates, context

DIRECTORY = "https://directory.example/v2"


def test_lookup_may_log_and_trace_and_nothing_else(templates: Templates) -> None:
    (role,) = [role for role in templates.every("AWS::IAM::Role") if role.name.startswith("LookupRole")]
    actions = {
        action
        for policy in role.properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    assert {action.partition(":")[0] for action in actions} == {"logs", "xray"}
    assert "VpcConfig" not in templates.functions()["lookup"].properties


def test_without_a_directory_lookup_is_told_so(templates: Templates) -> None:
    variables = templates.functions()["lookup"].properties["Environment"]["Variables"]
    assert variables["DIRECTORY_URL"] == "none"


def test_the_directorys_address_comes_from_the_context(tmp_path: Path) -> None:
    define(context("dev", directory=DIRECTORY), outdir=str(tmp_path)).synth()
    files = {stack: tmp_path / f"sluice-proof-{stack}.template.json" for stack in STACKS}
    template = json.loads(files["pipeline"].read_text())
    (lookup,) = [body for name, body in template["Resources"].items() if name.startswith("LookupFunction")]
    assert lookup["Properties"]["Environment"]["Variables"]["DIRECTORY_URL"] == DIRECTORY


@pytest.mark.parametrize(
    "address",
    [
        "http://directory.example",
        "directory.example",
        "https://user:password@directory.example",
        "https://directory.example/?token=x",
        "https://directory.example#x",
        "",
    ],
)
def test_an_address_without_encryption_or_with_more_than_a_place_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="must be an https address"):
        Deployment(stage="dev", region="us-east-1", profile=BASELINE, directory=address)


def test_somebody_hears_when_the_directory_stays_away(templates: Templates) -> None:
    alarm = templates.alarms()["lookup-unavailable"].properties
    assert (alarm["MetricName"], alarm["EvaluationPeriods"]) == ("DirectoryUnavailable", 3)
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "lookup"}]


def test_lookup_must_be_able_to_say_that_nobody_answers() -> None:
    with pytest.raises(ValueError, match="say that nobody answers"):
        replace(BASELINE.lookup, directory_seconds=3)
