"""A protected stage's data can neither be replaced nor deleted by an update of its stack."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.stack_policy import DOCUMENT, main

STATED = json.loads(DOCUMENT.read_text())
TEMPLATE = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {}}}})
STACK = "sluice-prod-data"


@pytest.fixture(autouse=True)
def stacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("cloudformation", region_name="eu-central-1")


def create(stacks: Any, *, protected: bool) -> None:
    stacks.create_stack(StackName=STACK, TemplateBody=TEMPLATE, EnableTerminationProtection=protected)


def policy(stacks: Any) -> Any:
    return json.loads(stacks.get_stack_policy(StackName=STACK).get("StackPolicyBody") or "null")


def test_a_protected_stage_gets_the_policy_and_keeps_it(stacks: Any, capsys: pytest.CaptureFixture[str]) -> None:
    create(stacks, protected=True)
    for _ in range(2):
        assert main(["prod", "eu-central-1"]) == 0
        assert policy(stacks) == STATED
        assert capsys.readouterr().out == f"{STACK}: an update can neither replace nor delete what holds events\n"


def test_what_someone_allowed_for_one_update_is_denied_again(stacks: Any) -> None:
    create(stacks, protected=True)
    allowed = {"Statement": [{"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}]}
    stacks.set_stack_policy(StackName=STACK, StackPolicyBody=json.dumps(allowed))
    assert main(["prod", "eu-central-1"]) == 0
    assert policy(stacks) == STATED


def test_a_stage_that_is_not_protected_is_left_alone(stacks: Any, capsys: pytest.CaptureFixture[str]) -> None:
    create(stacks, protected=False)
    assert main(["prod", "eu-central-1"]) == 0
    assert policy(stacks) is None
    assert capsys.readouterr().out == ""


def test_a_stage_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prod", "eu-central-1"]) == 1
    assert "there is no stack sluice-prod-data" in capsys.readouterr().err
    assert main([]) == 2


def test_it_denies_two_kinds_of_updates_of_what_holds_data_and_nothing_else() -> None:
    allow, deny = STATED["Statement"]
    assert allow == {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}
    # The resources are told by their types: an update must not escape by another name.
    assert (deny["Effect"], deny["Action"], deny["Resource"]) == ("Deny", ["Update:Delete", "Update:Replace"], "*")
    assert set(deny["Condition"]) == {"StringEquals"}
    assert DOCUMENT.read_text() == json.dumps(STATED, indent=2) + "\n"
