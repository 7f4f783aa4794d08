"""The bucket of checkpoints shows what someone hid or overwrote, and the key in KMS knows its own signatures."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.models.aws_client import aws_client
from sluice.core.errors import Retryable
from sluice.edge.control.checkpoint_bucket import CheckpointBucket
from sluice.edge.control.signing import Signer
from tests.local.emulation import emulated_aws

OLDER, NEWER = "checkpoints/00000000002-5.json", "checkpoints/00000000001-8.json"


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    """Make a client of an emulated service."""
    with emulated_aws() as url:
        yield lambda service: aws_client(service, url, "us-east-1")


@pytest.fixture
def bucket() -> str:
    """The name of a bucket of the test's own."""
    return f"locked-{uuid.uuid4()}"


@pytest.fixture
def s3(aws: Any, bucket: str) -> Any:
    """A client, and the bucket with Object Lock."""
    s3 = aws("s3")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    lock = {"Mode": "COMPLIANCE", "Days": 1}
    s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": lock}}
    )
    return s3


@pytest.fixture
def bucket_of_checkpoints(s3: Any, bucket: str) -> CheckpointBucket:
    bucket_of_checkpoints = CheckpointBucket(s3, bucket)
    assert bucket_of_checkpoints.find_newest() is None
    bucket_of_checkpoints.put(NEWER, b"newer")
    bucket_of_checkpoints.put(OLDER, b"older")
    return bucket_of_checkpoints


def test_the_newest_is_found(bucket_of_checkpoints: CheckpointBucket) -> None:
    assert bucket_of_checkpoints.find_newest() == (NEWER, b"newer")


def test_a_name_is_taken_once(bucket_of_checkpoints: CheckpointBucket) -> None:
    with pytest.raises(Retryable, match="PreconditionFailed"):
        bucket_of_checkpoints.put(NEWER, b"another")
    assert bucket_of_checkpoints.find_newest() == (NEWER, b"newer")


def test_what_is_hidden_or_overwritten_is_found_as_it_was(
    bucket_of_checkpoints: CheckpointBucket, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key=NEWER, Body=b"another")
    s3.delete_object(Bucket=bucket, Key=NEWER)
    s3.delete_object(Bucket=bucket, Key=OLDER)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert bucket_of_checkpoints.find_newest() == (NEWER, b"newer")


def test_a_checkpoint_is_not_deleted(bucket_of_checkpoints: CheckpointBucket, s3: Any, bucket: str) -> None:
    assert bucket_of_checkpoints.find_newest()
    (version, *_) = s3.list_object_versions(Bucket=bucket)["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(
            Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"], BypassGovernanceRetention=True
        )


def test_the_key_knows_its_own_signatures(aws: Any) -> None:
    kms = aws("kms")
    ours, theirs = (
        Signer(kms, kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"])
        for _ in range(2)
    )
    signature, arn = ours.sign(b"text")
    assert arn.startswith("arn:aws:kms:")
    assert ours.verifies(b"text", signature)
    assert not ours.verifies(b"other", signature)
    assert not ours.verifies(b"text", b"none")
    assert not theirs.verifies(b"text", signature)


def test_a_service_that_is_away_is_retryable(aws: Any) -> None:
    def away(**_request: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws")

    s3, kms = aws("s3"), aws("kms")
    for client, service in ((s3, "s3"), (kms, "kms")):
        client.meta.events.register(f"before-send.{service}", away)
    for call in (
        lambda: CheckpointBucket(s3, "locked").find_newest(),
        lambda: CheckpointBucket(s3, "locked").put(NEWER, b""),
        lambda: Signer(kms, "k").sign(b"text"),
        lambda: Signer(kms, "k").verifies(b"text", b"signature"),
    ):
        with pytest.raises(Retryable, match="Could not connect"):
            call()
