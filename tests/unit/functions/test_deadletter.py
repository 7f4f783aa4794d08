"""What deadletter puts where, and that it never answers for what it has not put."""

import gzip
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from functions.deadletter.handler import Parts, keep
from sluice.edge.settings import DeadLetterSettings
from tests import samples

NAME = "dead_letters/region=us-east-1/dt=2026-11-20/00004-00000000000000000100.json.gz"


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")


def parts(s3: Any) -> Parts:
    return Parts(DeadLetterSettings("letters", "us-east-1"), s3)


def test_a_batch_is_put_whole_before_it_is_answered(s3: Any) -> None:
    bodies: list[bytes] = []
    s3.meta.events.register("provide-client-params.s3.PutObject", lambda params, **_: bodies.append(params["Body"]))
    with Stubber(s3) as service:
        expected = {"Bucket": "letters", "Key": NAME, "Body": ANY, "ContentType": "application/gzip"}
        service.add_response("put_object", {}, expected)
        answer = keep(samples.read("lambda/raw-events-batch.json"), parts(s3), samples.NOW)
        service.assert_no_pending_responses()
    assert answer == {"batchItemFailures": []}
    assert len(gzip.decompress(bodies[0]).splitlines()) == 3
    assert {json.loads(line)["reason"] for line in gzip.decompress(bodies[0]).splitlines()} == {"unreadable_letter"}


def test_a_store_that_is_away_fails_the_batch_so_that_it_comes_again(s3: Any) -> None:
    with Stubber(s3) as service:
        service.add_client_error("put_object", "ServiceUnavailable", http_status_code=503)
        with pytest.raises(ClientError):
            keep(samples.read("lambda/raw-events-batch.json"), parts(s3), samples.NOW)
