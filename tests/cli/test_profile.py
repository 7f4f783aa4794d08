"""A profile remembers where a deployed stage is, and every command that asks a stage takes it by its name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.__main__ import main
from cli.aws import locate_api, open_client
from cli.stages import Target, choose

API = "https://abc.execute-api.eu-central-1.amazonaws.com"


def deploy(stage: str, part: str, outputs: dict[str, str]) -> None:
    """Deploy one of a stage's stacks, with nothing in it but its outputs."""
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    boto3.client("cloudformation", "eu-central-1").create_stack(
        StackName=f"sluice-{stage}-{part}", TemplateBody=json.dumps(template)
    )


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with the stage prod in Frankfurt, and the user's AWS profile `ops`."""
    (tmp_path / "aws").write_text(
        "[profile ops]\naws_access_key_id = ops\naws_secret_access_key = ops\nregion = us-west-2\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        deploy("prod", "data", {"LakeRawBucket5CE0B2AA": "raw-bucket"})
        deploy("prod", "pipeline", {"ApiUrl0CE3D0A6": API})
        yield


@pytest.mark.usefixtures("aws")
def test_a_profile_is_added_listed_used_and_removed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "add", "live", "--stage", "prod", "--region", "eu-central-1", "--aws-profile", "ops"]) == 0
    assert capsys.readouterr().out == f"--stage live is stage prod in eu-central-1: {API}\n"
    kept: dict[str, Any] = json.loads((config / "sluice" / "stages.json").read_text())
    assert kept["live"]["outputs"] == {"LakeRawBucket5CE0B2AA": "raw-bucket", "ApiUrl0CE3D0A6": API}

    target = choose("live", None)
    assert (target.stage, target.region, target.aws_profile, locate_api(target)) == ("prod", "eu-central-1", "ops", API)
    assert open_client(target, "lambda").meta.region_name == "eu-central-1"

    assert main(["profile", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"live,prod,eu-central-1,ops,{API}"]
    assert main(["profile", "remove", "live"]) == 0
    assert choose("live", None).stage == "live"


@pytest.mark.usefixtures("aws")
def test_without_a_profile_the_stage_is_asked_by_its_own_name() -> None:
    here = Target("prod", Path(), region="eu-central-1")
    assert locate_api(here) == API
    assert choose("prod", None) == Target("prod", Path(".local"))


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["add", "prod"], 1, "there is no stage 'prod' in region us-east-1"),
        (["add", "p", "--stage", "prod", "--aws-profile", "nobody"], 2, "nobody"),
        (["add", "No Name"], 2, "'No Name' is no name of lower-case letters, digits and dashes"),
        (["remove", "gone"], 2, "there is no profile 'gone'; there are: none"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], status: int, says: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", *arguments]) == status
    assert says in capsys.readouterr().err
    assert not config.exists()


@pytest.mark.usefixtures("aws")
def test_a_stage_without_its_pipeline_has_no_address_to_remember(capsys: pytest.CaptureFixture[str]) -> None:
    deploy("half", "data", {"LakeRawBucket5CE0B2AA": "raw-bucket"})
    assert main(["profile", "add", "half", "--region", "eu-central-1"]) == 1
    assert "its pipeline is not deployed" in capsys.readouterr().err


def test_a_damaged_file_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config / "sluice").mkdir(parents=True)
    (config / "sluice" / "stages.json").write_text('{"prod": {"stage": "prod"}}')
    assert main(["profile", "list"]) == 2
    assert "stages.json cannot be read" in capsys.readouterr().err
