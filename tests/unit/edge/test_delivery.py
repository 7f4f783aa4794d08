from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from sluice.core.packing import Pack
from sluice.core.records import Origin
from sluice.edge.delivery import ATTEMPTS, Delivery

PACKS = [Pack(f"row {index}\n".encode(), (Origin("raw-events", 0, index),)) for index in range(3)]
TAKEN = {"RecordId": "1"}
REFUSED = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "slow down"}


def request(packs: list[Pack]) -> dict[str, Any]:
    return {"DeliveryStreamName": "raw", "Records": [{"Data": pack.data} for pack in packs]}


def answer(*responses: dict[str, str]) -> dict[str, Any]:
    return {"FailedPutCount": sum("ErrorCode" in one for one in responses), "RequestResponses": list(responses)}


@pytest.fixture
def firehose() -> Any:
    return boto3.client("firehose", "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")


def test_only_what_a_successful_call_refused_is_sent_again(firehose: Any) -> None:
    waits: list[int] = []
    with Stubber(firehose) as service:
        service.add_response("put_record_batch", answer(TAKEN, REFUSED, TAKEN), request(PACKS))
        service.add_response("put_record_batch", answer(TAKEN), request([PACKS[1]]))
        assert Delivery(firehose, "raw", waits.append).deliver(PACKS) == []
        service.assert_no_pending_responses()
    assert waits == [1]


def test_what_is_never_taken_is_named_with_the_reason(firehose: Any) -> None:
    with Stubber(firehose) as service:
        service.add_response("put_record_batch", answer(TAKEN, TAKEN, REFUSED), request(PACKS))
        for _ in range(ATTEMPTS - 1):
            service.add_response("put_record_batch", answer(REFUSED), request([PACKS[2]]))
        (left,) = Delivery(firehose, "raw", lambda _: None).deliver(PACKS)
    assert left.pack == PACKS[2]
    assert "slow down" in left.reason


def test_a_call_that_fails_whole_is_sent_again_whole(firehose: Any) -> None:
    with Stubber(firehose) as service:
        service.add_client_error("put_record_batch", "ServiceUnavailableException", http_status_code=503)
        service.add_response("put_record_batch", answer(TAKEN, TAKEN, TAKEN), request(PACKS))
        assert Delivery(firehose, "raw", lambda _: None).deliver(PACKS) == []
        service.assert_no_pending_responses()
