"""The policy under which CloudFormation deploys is created once, and follows its file."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.execution_policy import DOCUMENT, MOST_VERSIONS, main, put_policy

ACCOUNT = "123456789012"
ARN = f"arn:aws:iam::{ACCOUNT}:policy/sluice-deployment"
STATED = json.loads(DOCUMENT.read_text())


@pytest.fixture(autouse=True)
def iam(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield boto3.client("iam")


def current(iam: Any) -> tuple[Any, int]:
    """The document that counts, and how many versions there are."""
    version = iam.get_policy(PolicyArn=ARN)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=ARN, VersionId=version)["PolicyVersion"]["Document"]
    return document, len(iam.list_policy_versions(PolicyArn=ARN)["Versions"])


def test_the_policy_is_created_and_printed_and_then_left_alone(iam: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main([ACCOUNT]) == 0
        assert capsys.readouterr().out == f"{ARN}\n"
    assert current(iam) == (STATED, 1)


def test_a_newer_file_becomes_the_version_that_counts_and_the_oldest_one_goes(iam: Any) -> None:
    for number in range(MOST_VERSIONS + 2):
        put_policy(iam, ACCOUNT, {**STATED, "Id": f"release-{number}"})
    assert current(iam) == ({**STATED, "Id": f"release-{number}"}, MOST_VERSIONS)


def test_another_accounts_credentials_are_refused_before_anything_is_created(
    iam: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["999999999999"]) == 1
    assert f"these credentials are of account {ACCOUNT}, not of 999999999999" in capsys.readouterr().err
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert main([]) == 2
