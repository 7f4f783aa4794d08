"""What deadletter stores where, and that it never acknowledges a record that it has not stored."""

import gzip
import json
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from functions.deadletter.handler import keep
from sluice.edge.bucket import Bucket
from tests.support import samples

NAME = "dead_letters/region=us-east-1/dt=2026-11-20/00004-00000000000000000100.json.gz"


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")


def parts(s3: Any) -> tuple[Bucket, str]:
    return Bucket(s3, "letters"), "us-east-1"


def test_a_batch_is_put_whole_before_it_is_answered(s3: Any) -> None:
    bodies: list[bytes] = []
    s3.meta.events.register("provide-client-params.s3.PutObject", lambda params, **_: bodies.append(params["Body"]))
    with Stubber(s3) as service:
        expected = {"Bucket": "letters", "Key": NAME, "Body": ANY, "ContentType": "application/gzip"}
        service.add_response("put_object", {}, expected)
        answer = keep(samples.read("lambda/raw-events-batch.json"), *parts(s3), samples.NOW, lambda: 60.0)
        service.assert_no_pending_responses()
    assert answer == {"batchItemFailures": []}
    assert len(gzip.decompress(bodies[0]).splitlines()) == 3
    assert {json.loads(line)["reason"] for line in gzip.decompress(bodies[0]).splitlines()} == {"unreadable_letter"}


def first(partition: int, offset: int) -> dict[str, Any]:
    return {"itemIdentifier": {"partition": f"raw-events-{partition}", "offset": offset}}


def batch_of(*partitions: int) -> dict[str, Any]:
    batch: dict[str, Any] = samples.read("lambda/raw-events-batch.json")
    records = batch["records"]["raw-events-4"]
    return batch | {
        "records": {
            f"raw-events-{partition}": [record | {"partition": partition} for record in records]
            for partition in partitions
        }
    }


def test_a_store_that_is_away_fails_what_is_not_kept_and_is_asked_for_nothing_more(s3: Any) -> None:
    with Stubber(s3) as service:
        service.add_response("put_object", {})
        service.add_client_error("put_object", "ServiceUnavailable", http_status_code=503)
        answer = keep(batch_of(3, 4, 5), *parts(s3), samples.NOW, lambda: 60.0)
        service.assert_no_pending_responses()
    assert answer == {"batchItemFailures": [first(4, 100), first(5, 100)]}


def test_what_there_is_no_time_for_is_retried(s3: Any) -> None:
    left = iter((60.0, 10.0))
    with Stubber(s3) as service:
        service.add_response("put_object", {})
        answer = keep(batch_of(3, 4, 5), *parts(s3), samples.NOW, lambda: next(left))
    assert answer == {"batchItemFailures": [first(4, 100), first(5, 100)]}
