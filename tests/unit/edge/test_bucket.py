"""An S3 outage is Retryable, and a missing object is no error."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from sluice.core.errors import Retryable
from sluice.edge.bucket import Bucket


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("list_objects_v2", lambda bucket: next(bucket.list_pages("raw/"))),
        ("get_object", lambda bucket: bucket.get("a")),
        ("get_object", lambda bucket: bucket.get_range("a", "0-9")),
        ("put_object", lambda bucket: bucket.put("a", b"")),
        ("copy_object", lambda bucket: bucket.copy("a", "b", {})),
        ("head_object", lambda bucket: bucket.find_metadata("a")),
    ],
)
def test_a_refusal_and_silence_are_retryable(s3: Any, operation: str, call: Any) -> None:
    with Stubber(s3) as service:
        service.add_client_error(operation, "ServiceUnavailable", http_status_code=503)
        with pytest.raises(Retryable, match=r"S3 failed.*ServiceUnavailable"):
            call(Bucket(s3, "here"))

    def away(**_request: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    s3.meta.events.register("before-send.s3", away)
    with pytest.raises(Retryable, match="Could not connect"):
        call(Bucket(s3, "here"))


@pytest.mark.parametrize(("code", "status"), [("404", 404), ("403", 403)])
def test_an_object_that_is_not_there_has_no_metadata(s3: Any, code: str, status: int) -> None:
    with Stubber(s3) as service:
        service.add_client_error("head_object", code, http_status_code=status)
        assert Bucket(s3, "here").find_metadata("a") is None
