"""On a deployed stage each belief that only AWS can settle passes or fails, with what is so."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli import canary, smoke, stage_checks
from cli.__main__ import main
from cli.aws import PARTS
from cli.stage_checks import CANARY, CHECKS, Disproof, Stage, settle
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


def lock(mode: str) -> Script:
    return [("s3", "get_object_retention", {"Retention": {"Mode": mode, "RetainUntilDate": NOW}})]


def listeners(*arns: str) -> Script:
    subscriptions = [{"SubscriptionArn": arn} for arn in arns]
    return [
        stack(OperationsTopicArn0123ABCD="arn:aws:sns:us-east-1:123456789012:t"),
        ("sns", "list_subscriptions_by_topic", {"Subscriptions": subscriptions}),
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
        (stage_checks.check_database, running("17.9"), False, "RDS runs 17.9"),
        (stage_checks.check_topics, [resources("AWS::MSK::Topic", *["CREATE_COMPLETE"] * 4)], True, "4 topics"),
        (stage_checks.check_topics, [resources("AWS::MSK::Topic", *["CREATE_COMPLETE"] * 3)], False, "3 of 4 topics"),
        (stage_checks.check_topics, [resources("AWS::MSK::Topic", "CREATE_FAILED")], False, "Resource0 is CREATE_FAIL"),
        (stage_checks.check_budget, [resources("AWS::Budgets::Budget", "CREATE_COMPLETE")], True, "1 budgets"),
        (stage_checks.check_budget, [resources("AWS::Budgets::Budget")], False, "0 of 1 budgets are there"),
        (stage_checks.check_sources, sources(source("sluice-proof-archive")), True, "1 are enabled and sound"),
        (
            stage_checks.check_sources,
            sources(source("sluice-proof-archive"), source("sluice-proof-detect", result="PROBLEM: not authorized")),
            False,
            "that of sluice-proof-detect is Enabled: PROBLEM: not authorized",
        ),
        (stage_checks.check_sources, sources(source("sluice-proof-alert", "Creating")), False, "is Creating: OK"),
        (stage_checks.check_sources, sources(source("sluice-other-alert")), False, "there is none"),
        (
            stage_checks.check_checkpoints,
            checkpoints("checkpoints/1") + lock("COMPLIANCE"),
            True,
            "checkpoints/1 is locked until 2026-11-30 (compliance)",
        ),
        (stage_checks.check_checkpoints, checkpoints(), False, "locked is empty: the first checkpoint follows"),
        (stage_checks.check_listeners, listeners("arn:aws:sns:1", "PendingConfirmation"), True, "1 of 2"),
        (stage_checks.check_listeners, listeners("PendingConfirmation"), False, "of 1 subscriptions of the operations"),
        (stage_checks.check_listeners, [stack()], False, "the stage's stacks have no output OperationsTopicArn"),
        (stage_checks.check_database, [DATABASE, ("rds", "describe_db_instances", "AccessDenied")], False, "AccessDen"),
    ],
)
def test_a_belief_holds_by_what_aws_says(check: Any, script: Script, holds: bool, says: str) -> None:
    account = PlayedAccount(script)
    (outcome,) = settle([("a belief", lambda: check(Stage("proof", account.ask)))])
    account.end()
    assert outcome.holds is holds
    assert says in outcome.says


def test_the_page_has_every_belief_that_a_program_settles() -> None:
    settled = PAGE.partition("## What a program settles")[2].partition("## What a person settles")[0]
    assert re.findall(r"^\| (.*?) \|", settled, re.MULTILINE)[1:] == [*CHECKS, CANARY]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the checks of a stage say, which a test may change."""
    outcomes: dict[str, Any] = {"stacks": "4 stacks are complete"}

    def check(stage: Stage) -> str:
        assert stage.name == "prod"
        if isinstance(outcomes["stacks"], Exception):
            raise outcomes["stacks"]
        return str(outcomes["stacks"])

    monkeypatch.setattr(smoke, "CHECKS", {"CloudFormation creates everything": check})
    return outcomes


def test_the_command_prints_pass_or_fail_and_fails_with_one(
    settled: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
    assert main(["smoke", "--stage", "prod"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pass  CloudFormation creates everything: 4 stacks are complete",
        f"pass  {CANARY}: 50 events posted and read back",
    ]
    assert asked[0].stage == "prod"
    faults.append("accepted 1 and unknown 0 times, stored 0 times: ab")
    settled["stacks"] = Disproof("sluice-prod-data is CREATE_FAILED")
    assert main(["smoke", "--stage", "prod"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "fail  CloudFormation creates everything: sluice-prod-data is CREATE_FAILED",
        f"fail  {CANARY}: 1 faults, the first: {faults[0]}",
    ]


def test_without_a_key_no_event_is_posted_and_the_belief_is_not_shown(
    settled: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KEY", raising=False)
    assert settled
    assert main(["smoke", "--stage", "prod"]) == 1
    assert f"fail  {CANARY}: not tried: there is no device key as KEY" in capsys.readouterr().out


def test_the_local_stack_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke"]) == 2
    assert "say which deployed stage" in capsys.readouterr().err
    assert len(PARTS) == 4
