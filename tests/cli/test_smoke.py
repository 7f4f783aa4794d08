"""On a deployed stage each assumption that only AWS can check passes or fails, with what is so."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli import canary, smoke, stage_checks
from cli.__main__ import main
from cli.aws import PARTS
from cli.stage_checks import CANARY, CHECKS, CheckFailed, DeployedStage, run_checks
from cli.stages import Target
from tests.support.played_account import PlayedAccount, Script

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
PAGE = (Path(__file__).parents[2] / "docs/only-aws-can-tell.md").read_text()


def stack(status: str = "CREATE_COMPLETE", **outputs: str) -> tuple[str, str, dict[str, Any]]:
    described = {
        "StackName": "s",
        "CreationTime": NOW,
        "StackStatus": status,
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
    }
    return ("cloudformation", "describe_stacks", {"Stacks": [described]})


def resources(kind: str, *statuses: str) -> tuple[str, str, dict[str, Any]]:
    listed = [
        {
            "LogicalResourceId": f"Resource{number}",
            "PhysicalResourceId": f"physical-{number}",
            "ResourceType": kind,
            "ResourceStatus": status,
            "LastUpdatedTimestamp": NOW,
        }
        for number, status in enumerate(statuses)
    ]
    other = {**listed[0], "ResourceType": "AWS::SNS::Topic"} if listed else None
    return (
        "cloudformation",
        "list_stack_resources",
        {"StackResourceSummaries": [*listed, *([other] if other else [])]},
    )


def source(function: str, state: str = "Enabled", result: str = "OK") -> dict[str, Any]:
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function}"
    return {"FunctionArn": arn, "State": state, "LastProcessingResult": result}


def sources(*mappings: dict[str, Any]) -> Script:
    return [("lambda", "list_event_source_mappings", {"EventSourceMappings": list(mappings)})]


def checkpoints(*keys: str) -> Script:
    versions = [{"Key": key, "VersionId": "v", "LastModified": NOW} for key in keys]
    return [
        stack(CheckpointsBucketName0123ABCD="locked"),
        ("s3", "list_object_versions", {"Versions": versions}),
    ]


def lock(mode: str, until: datetime) -> Script:
    return [("s3", "get_object_retention", {"Retention": {"Mode": mode, "RetainUntilDate": until}})]


def listeners(name: str, *arns: str) -> Script:
    subscriptions = [{"SubscriptionArn": arn} for arn in arns]
    return [
        stack(**{f"Operations{name}TopicArn0123ABCD": "arn:aws:sns:us-east-1:123456789012:t"}),
        ("sns", "list_subscriptions_by_topic", {"Subscriptions": subscriptions}),
    ]


def topics(wanted: int, *statuses: str) -> Script:
    template = {"Resources": {f"Topic{number}": {"Type": "AWS::MSK::Topic"} for number in range(wanted)}}
    template["Resources"]["Instance"] = {"Type": "AWS::RDS::DBInstance"}
    return [
        ("cloudformation", "get_template", {"TemplateBody": json.dumps(template)}),
        resources("AWS::MSK::Topic", *statuses),
    ]


DATABASE = resources("AWS::RDS::DBInstance", "CREATE_COMPLETE")
GONE = ("cloudformation", "describe_stacks", "ValidationError")


def running(release: str) -> Script:
    return [DATABASE, ("rds", "describe_db_instances", {"DBInstances": [{"EngineVersion": release}]})]


@pytest.mark.parametrize(
    ("check", "script", "holds", "says"),
    [
        (stage_checks.check_stacks, [stack(), stack("UPDATE_COMPLETE"), stack(), stack()], True, "4 stacks are compl"),
        (stage_checks.check_stacks, [stack(), stack("ROLLBACK_COMPLETE")], False, "sluice-proof-data is ROLLBACK_COMP"),
        (stage_checks.check_stacks, [stack(), stack(), GONE], False, "sluice-proof-pipeline is not there"),
        (stage_checks.check_database, running("18.6"), True, "RDS runs 18.6"),
        (stage_checks.check_database, running("17.9"), False, "RDS runs 17.9, and the schema needs 18"),
        (stage_checks.check_topics, topics(4, *["CREATE_COMPLETE"] * 4), True, "4 topics"),
        (stage_checks.check_topics, topics(4, *["CREATE_COMPLETE"] * 3), False, "3 of 4 topics"),
        (stage_checks.check_topics, topics(4, "CREATE_FAILED"), False, "Resource0 is CREATE_FAIL"),
        (stage_checks.check_budget, [resources("AWS::Budgets::Budget", "CREATE_COMPLETE")], True, "1 budgets"),
        (stage_checks.check_budget, [resources("AWS::Budgets::Budget")], False, "0 of 1 budgets exist"),
        (stage_checks.check_sources, sources(source("sluice-proof-archive")), True, "1 event sources are enabled"),
        (
            stage_checks.check_sources,
            sources(source("sluice-proof-archive"), source("sluice-proof-detect", result="PROBLEM: not authorized")),
            False,
            "the event source of sluice-proof-detect is Enabled: PROBLEM: not authorized",
        ),
        (stage_checks.check_sources, sources(source("sluice-proof-alert", "Creating")), False, "is Creating: OK"),
        (stage_checks.check_sources, sources(source("sluice-other-alert")), False, "there is no event source"),
        (
            stage_checks.check_checkpoints,
            checkpoints("checkpoints/1") + lock("COMPLIANCE", datetime(2099, 11, 30, tzinfo=UTC)),
            True,
            "checkpoints/1 is locked until 2099-11-30 (compliance)",
        ),
        (
            stage_checks.check_checkpoints,
            checkpoints("checkpoints/1") + lock("COMPLIANCE", datetime(2020, 1, 1, tzinfo=UTC)),
            False,
            "the lock of checkpoints/1 ended on 2020-01-01",
        ),
        (stage_checks.check_checkpoints, checkpoints(), False, "locked is empty: the first checkpoint follows"),
        (
            stage_checks.check_listeners,
            listeners("Pages", "arn:aws:sns:1", "arn:aws:sns:2")
            + listeners("", "arn:aws:sns:3", "PendingConfirmation"),
            True,
            "pages: 2 confirmed subscriptions, operations: 1 confirmed subscriptions",
        ),
        (
            stage_checks.check_listeners,
            listeners("Pages", "arn:aws:sns:1") + listeners("", "PendingConfirmation"),
            False,
            "of 1 subscriptions of the topic operations none is confirmed",
        ),
        (stage_checks.check_listeners, listeners("Pages"), False, "of 0 subscriptions of the topic pages none is"),
        (stage_checks.check_listeners, [stack()], False, "stacks have no output OperationsPagesTopicArn"),
        (stage_checks.check_database, [DATABASE, ("rds", "describe_db_instances", "AccessDenied")], False, "AccessDen"),
    ],
)
def test_an_assumption_holds_by_what_aws_says(check: Any, script: Script, holds: bool, says: str) -> None:
    account = PlayedAccount(script)
    (outcome,) = run_checks([("an assumption", lambda: check(DeployedStage("proof", account.ask)))])
    account.end()
    assert outcome.holds is holds
    assert says in outcome.says


def test_the_page_has_every_assumption_that_the_command_checks() -> None:
    checked = PAGE.partition("## What `sluice smoke` checks")[2].partition("## What a person checks")[0]
    assert re.findall(r"^\| (.*?) \|", checked, re.MULTILINE)[1:] == [*CHECKS, CANARY]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the checks of a stage say, which a test may change."""
    outcomes: dict[str, Any] = {"stacks": "4 stacks are complete"}

    def check(stage: DeployedStage) -> str:
        assert stage.name == "prod"
        if isinstance(outcomes["stacks"], Exception):
            raise outcomes["stacks"]
        return str(outcomes["stacks"])

    monkeypatch.setattr(smoke, "CHECKS", {"CloudFormation creates everything": check})
    return outcomes


def test_the_command_prints_pass_or_fail_and_fails_with_one(
    checked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[str] = []
    asked: list[Target] = []

    def post(target: Target, _api: object, run: str, events: int, _patience: float) -> list[str]:
        assert run.startswith("smoke-")
        asked.append(target)
        return faults[:events]

    monkeypatch.setattr(canary, "check", post)
    monkeypatch.setattr(canary, "find_api", lambda *_: None)
    monkeypatch.setenv("KEY", "a device's")
    monkeypatch.setenv("READER_KEY", "a reader's")
    assert main(["smoke", "--stage", "prod"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pass  CloudFormation creates everything: 4 stacks are complete",
        f"pass  {CANARY}: 50 events posted and read back",
    ]
    assert asked[0].stage == "prod"
    faults.append("accepted 1 and unknown 0 times, stored 0 times: ab")
    checked["stacks"] = CheckFailed("sluice-prod-data is CREATE_FAILED")
    assert main(["smoke", "--stage", "prod"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "fail  CloudFormation creates everything: sluice-prod-data is CREATE_FAILED",
        f"fail  {CANARY}: 1 faults, the first: {faults[0]}",
    ]


@pytest.mark.parametrize("lacks", ["KEY", "READER_KEY"])
def test_without_both_keys_no_event_is_posted_and_the_assumption_is_not_shown(
    lacks: str, checked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("KEY", "READER_KEY"):
        monkeypatch.setenv(name, "a key")
    monkeypatch.delenv(lacks)
    assert checked
    assert main(["smoke", "--stage", "prod"]) == 1
    assert f"fail  {CANARY}: not tried: {lacks} is not in the environment" in capsys.readouterr().out


def test_the_local_stack_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke"]) == 2
    assert "say which deployed stage" in capsys.readouterr().err
    assert len(PARTS) == 4
