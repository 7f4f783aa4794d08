from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from sluice.core.archive.rows import Pack
from sluice.core.records import Origin
from sluice.edge.archive.archiving import MAX_CALL, Delivery
from sluice.edge.retry import Retry

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


class Clock:
    """A clock that only sleeping moves, and that records each sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = 0

    def retry(self, seconds: float) -> Retry:
        return Retry(seconds, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses += 1


def test_only_what_a_successful_call_refused_is_sent_again(firehose: Any) -> None:
    clock = Clock()
    with Stubber(firehose) as service:
        service.add_response("put_record_batch", answer(TAKEN, REFUSED, TAKEN), request(PACKS))
        service.add_response("put_record_batch", answer(TAKEN), request([PACKS[1]]))
        assert Delivery(firehose, ["raw"]).deliver(PACKS, clock.retry(10)) == []
        service.assert_no_pending_responses()
    assert clock.pauses == 1


def test_what_is_not_taken_while_patience_lasts_is_named_with_the_reason(firehose: Any) -> None:
    with Stubber(firehose) as service:
        service.add_response("put_record_batch", answer(TAKEN, TAKEN, REFUSED), request(PACKS))
        for _ in range(100):
            service.add_response("put_record_batch", answer(REFUSED), request([PACKS[2]]))
        clock = Clock()
        (left,) = Delivery(firehose, ["raw"]).deliver(PACKS, clock.retry(10))
    assert left.pack == PACKS[2]
    assert "slow down" in left.reason
    assert 5 < clock.now <= 10


def test_a_call_that_fails_whole_is_sent_again_whole(firehose: Any) -> None:
    with Stubber(firehose) as service:
        service.add_client_error("put_record_batch", "ServiceUnavailableException", http_status_code=503)
        service.add_response("put_record_batch", answer(TAKEN, TAKEN, TAKEN), request(PACKS))
        assert Delivery(firehose, ["raw"]).deliver(PACKS, Clock().retry(10)) == []
        service.assert_no_pending_responses()


def test_without_patience_everything_is_sent_once(firehose: Any) -> None:
    with Stubber(firehose) as service:
        service.add_response("put_record_batch", answer(REFUSED, REFUSED, REFUSED), request(PACKS))
        assert len(Delivery(firehose, ["raw"]).deliver(PACKS, Retry(0))) == 3
        assert Delivery(firehose, ["raw"]).deliver([], Retry(0)) == []


class Streams:
    """Streams that take or refuse whole calls, and count the bytes that they were sent."""

    def __init__(self, *refusing: str) -> None:
        self.refusing = refusing
        self.sent: dict[str, list[int]] = {}

    def put_record_batch(self, DeliveryStreamName: str, Records: list[dict[str, bytes]]) -> dict[str, Any]:  # noqa: N803
        self.sent.setdefault(DeliveryStreamName, []).append(sum(len(each["Data"]) for each in Records))
        return answer(*([REFUSED if DeliveryStreamName in self.refusing else TAKEN] * len(Records)))


def test_streams_get_equal_shares_even_if_each_batch_is_a_large_call_and_a_small_one() -> None:
    streams = Streams()
    delivery = Delivery(streams, ["raw", "raw-2"])
    packs = [Pack(b"x" * size, (Origin("raw-events", 0, size),)) for size in (MAX_CALL - 1, 500)]
    for _ in range(10):
        assert delivery.deliver(packs, Retry(0)) == []
    one, two = (sum(sent) for sent in streams.sent.values())
    assert abs(one - two) <= MAX_CALL


def test_what_one_stream_refuses_goes_to_another() -> None:
    streams = Streams("raw")
    assert Delivery(streams, ["raw", "raw-2"]).deliver(PACKS, Clock().retry(10)) == []
    assert [len(sent) for sent in streams.sent.values()] == [1, 1]
