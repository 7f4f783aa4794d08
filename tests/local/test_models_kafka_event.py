"""Records as Lambda's event, and answers with partial failures."""

import base64
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import KafkaEvent

from local.models.kafka_event import Record, event, unprocessed


def record(partition: int, offset: int, **changes: Any) -> Record:
    settings: dict[str, Any] = {"timestamp": 1_700_000_000_000, "timestamp_type": 1, "key": b"k", "value": b"v"}
    return Record("topic", partition, offset, **{**settings, **changes})


BATCH = [record(0, 10), record(1, 5), record(0, 11), record(0, 12), record(1, 6)]


def test_powertools_reads_the_event() -> None:
    sent = record(3, 7, key=b"device", value=b"\x00\xff", headers=(("envelope", "ä1".encode()),))
    decoded = KafkaEvent(json.loads(event([sent], "arn:cluster", "b-1:9098")))

    (found,) = decoded.records
    assert decoded.event_source == "aws:kafka"
    assert decoded.event_source_arn == "arn:cluster"
    assert decoded.decoded_bootstrap_servers == ["b-1:9098"]
    assert (found.topic, found.partition, found.offset, found.timestamp) == ("topic", 3, 7, 1_700_000_000_000)
    assert found.timestamp_type == "CREATE_TIME"
    assert (found.decoded_key, found.decoded_value) == (b"device", b"\x00\xff")
    assert found.decoded_headers["envelope"] == "ä1".encode()


def test_records_are_grouped_by_topic_and_partition_in_their_order() -> None:
    found = json.loads(event(BATCH, "arn", "b"))["records"]

    assert {name: [each["offset"] for each in records] for name, records in found.items()} == {
        "topic-0": [10, 11, 12],
        "topic-1": [5, 6],
    }


def test_null_keys_and_values_are_left_out() -> None:
    (found,) = json.loads(event([record(0, 1, key=None, value=None)], "arn", "b"))["records"]["topic-0"]

    assert not {"key", "value"} & set(found)


def test_the_estimate_is_never_below_the_real_size() -> None:
    sent = record(12, 10**12, key=b"k" * 100, value=b"v" * 1000, headers=(("envelope", b"\x80" * 200),))
    whole = len(event([sent, sent], "arn", "b"))

    assert whole - len(event([sent], "arn", "b")) <= sent.payload_bytes


def answer(*failures: Any) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": failure} for failure in failures]}).encode()


@pytest.mark.parametrize(
    "success", [b"", b"null", b"{}", b'{"batchItemFailures": []}', b'{"batchItemFailures": null}', b'{"other": 1}']
)
def test_empty_answers_are_success(success: bytes) -> None:
    assert unprocessed(success, BATCH) == []


def test_each_partition_is_tried_again_from_its_first_failure() -> None:
    left = unprocessed(answer({"partition": "topic-0", "offset": 12}, {"partition": "topic-0", "offset": 11}), BATCH)

    assert [(each.partition, each.offset) for each in left] == [(0, 11), (0, 12)]


@pytest.mark.parametrize(
    "failure",
    [
        {"partition": "topic-0", "offset": 99},
        {"partition": "topic-9", "offset": 10},
        {"partition": "topic-0", "offset": "11"},
        {"partition": "topic-0"},
        "topic-0-11",
        "",
        None,
    ],
)
def test_a_failure_that_names_no_record_of_the_batch_fails_all_of_it(failure: Any) -> None:
    assert unprocessed(answer({"partition": "topic-1", "offset": 6}, failure), BATCH) == BATCH


@pytest.mark.parametrize(
    "broken", [b"not json", b"[]", b'"text"', b'{"batchItemFailures": {}}', b'{"batchItemFailures": [1]}']
)
def test_an_answer_of_another_shape_fails_the_batch(broken: bytes) -> None:
    assert unprocessed(broken, BATCH) == BATCH


def test_values_are_base64() -> None:
    (found,) = json.loads(event([record(0, 1)], "arn", "b"))["records"]["topic-0"]

    assert base64.b64decode(found["value"]) == b"v"
