"""Before a stage is deleted, buckets that go with it are emptied, and no others."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.emptying import empty, main
from cli.stages import CommandError, Target, find_checkout

REGION = "us-east-1"
TARGET = Target("dev", find_checkout(), REGION)


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def deploy(part: str, *policies: str, lock: bool = False) -> list[str]:
    """Create a stack with a bucket for each deletion policy, and return their names."""
    names = [f"sluice-{part}-{number}" for number in range(len(policies))]
    properties: dict[str, Any] = {"ObjectLockEnabled": True} if lock else {}
    resources = {
        f"Bucket{number}": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": policy,
            "Properties": {"BucketName": name, **properties},
        }
        for number, (name, policy) in enumerate(zip(names, policies, strict=True))
    }
    resources["Topic"] = {"Type": "AWS::SNS::Topic", "Properties": {}}
    client = boto3.client("cloudformation", region_name=REGION)
    client.create_stack(StackName=f"sluice-dev-{part}", TemplateBody=json.dumps({"Resources": resources}))
    for name in names:
        # Moto reads no versioning in a template.
        boto3.client("s3", region_name=REGION).put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Enabled"}
        )
    return names


def fill(bucket: str, count: int = 2) -> Any:
    client = boto3.client("s3", region_name=REGION)
    for number in range(count):
        client.put_object(Bucket=bucket, Key=f"raw/{number}", Body=b"an event")
        client.put_object(Bucket=bucket, Key=f"raw/{number}", Body=b"the same again")
    client.delete_object(Bucket=bucket, Key="raw/0")
    return client


def versions(bucket: str) -> int:
    found = boto3.client("s3", region_name=REGION).list_object_versions(Bucket=bucket)
    return len(found.get("Versions", ())) + len(found.get("DeleteMarkers", ()))


def test_buckets_that_go_with_the_stack_lose_every_version_and_others_none() -> None:
    deleted, kept = deploy("data", "Delete", "RetainExceptOnCreate")
    for bucket in (deleted, kept):
        fill(bucket)
    assert empty(TARGET) == [deleted]
    assert (versions(deleted), versions(kept)) == (0, 5)
    assert empty(TARGET) == [deleted], "an empty bucket is no fault"


def test_more_versions_than_a_page_are_all_deleted() -> None:
    (bucket,) = deploy("data", "Delete")
    fill(bucket, count=520)
    assert versions(bucket) == 1000, "a page has no more"
    empty(TARGET)
    assert versions(bucket) == 0


def test_checkpoints_under_a_lock_of_governance_are_deleted_too() -> None:
    (bucket,) = deploy("data", "Delete", lock=True)
    client = boto3.client("s3", region_name=REGION)
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    client.put_object(Bucket=bucket, Key="checkpoints/1", Body=b"signed")
    assert empty(TARGET) == [bucket]
    assert versions(bucket) == 0


def test_what_s3_refuses_to_delete_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    (bucket,) = deploy("data", "Delete", lock=True)
    client = boto3.client("s3", region_name=REGION)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )
    client.put_object(Bucket=bucket, Key="checkpoints/1", Body=b"signed")
    assert main(["dev", REGION]) == 1
    assert f"{bucket}: 1 objects are not deleted; of checkpoints/1, S3 says AccessDenied" in capsys.readouterr().err


def test_nothing_is_deleted_while_functions_can_write() -> None:
    (bucket,) = deploy("data", "Delete")
    deploy("pipeline")
    fill(bucket)
    with pytest.raises(CommandError, match="sluice-dev-pipeline is still there"):
        empty(TARGET)
    assert versions(bucket) == 5


def test_a_stage_without_data_has_nothing_to_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev"]) == 0
    assert main([]) == 2
    assert "say which stage" in capsys.readouterr().err
