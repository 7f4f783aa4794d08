"""Both forms of what was given up are read to the last event, and no defect in them loses one."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from sluice.core.archive.rows import make_row
from sluice.core.failures.letters import Letter
from sluice.core.failures.salvage import FailedObject, read_batch, read_output
from sluice.core.limits import Limits
from sluice.core.records import read_records
from tests.support import samples

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[4] / "schemas/dead_letter/1.json").read_text())
WRECK = FailedObject("salvaged/aws/lambda/u/2026/11/20/1", samples.NOW)
MOST = Limits().max_letter
EVENT = samples.read("lambda/raw-events-batch.json")
BROKEN_JSON = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"' * 100, b"[" * 100_000, b'{"payload": 1}', b"\x00" * 50]


def given_up(event: Any = None, **context: Any) -> bytes:
    """What Lambda leaves of a batch."""
    payload = event if isinstance(event, str) else json.dumps(EVENT if event is None else event)
    told = {
        "requestId": "r",
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:sluice-dev-archive",
        "condition": "RecordAgeExceeded",
        "approximateInvokeCount": 7,
    }
    return json.dumps(
        {
            "requestContext": told | context,
            "responseContext": None,
            "version": "1.0",
            "timestamp": "2026-11-20T09:30:05.000Z",
            "KafkaBatchInfo": {"batchSize": 3, "payloadSize": len(payload)},
            "payload": payload,
        }
    ).encode()


def rows() -> list[bytes]:
    """Rows as archive packs them."""
    return [msgspec.json.encode(make_row(record, samples.contracts())) + b"\n" for record in read_records(EVENT)]


def undelivered(data: bytes | str, **changed: Any) -> bytes:
    """What Firehose leaves of a record."""
    document = {
        "attemptsMade": 1,
        "arrivalTimestamp": 1789560304000,
        "lastErrorCode": "DataFormatConversion.MalformedData",
        "lastErrorMessage": "Data does not match the schema.",
        "attemptEndingTimestamp": 1789560305000,
        "rawData": data if isinstance(data, str) else base64.b64encode(data).decode(),
        "sequenceNumber": "4967",
        "subSequenceNumber": None,
        "dataCatalogTable": {"tableName": "raw_events"},
    }
    return json.dumps(document | changed).encode()


def of_batch(data: bytes) -> list[Letter]:
    return checked(list(read_batch(data, WRECK)))


def of_output(*lines: bytes) -> list[Letter]:
    return checked(list(read_output(lines, WRECK)))


def checked(letters: list[Letter]) -> list[Letter]:
    """Letters that keep their contract and that the brokers take."""
    for letter in letters:
        jsonschema.validate(msgspec.to_builtins(letter), SCHEMA)
        assert len(msgspec.json.encode(letter)) < 1_000_000
        assert letter.failed_at == "2026-11-20T09:30:05.250000Z"
    return letters


def kept(letter: Letter) -> bytes:
    """The bytes a letter holds."""
    return letter.event.encode() if letter.event is not None else base64.b64decode(letter.event_base64 or "")


def test_every_record_of_a_batch_becomes_a_letter_with_its_bytes_and_its_place() -> None:
    letters = of_batch(given_up())
    records = list(read_records(EVENT))
    assert [kept(letter) for letter in letters] == [record.value for record in records]
    assert [(one.kafka_topic, one.kafka_partition, one.kafka_offset) for one in letters] == [
        (record.origin.topic, record.origin.partition, record.origin.offset) for record in records
    ]
    for letter in letters:
        assert (letter.reason, letter.consumer, letter.attempts) == ("expired", "archive", 7)
        assert "waited for longer" in letter.detail
    assert {letter.fleet_id for letter in letters} == {"demo"}
    assert [letter.device_id for letter in letters] == [row["device_id"] for row in map(json.loads, rows())]


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("RecordAgeExceeded", "expired"),
        ("RetryAttemptsExhausted", "retries_exhausted"),
        ("RetriesExhausted", "retries_exhausted"),
        ("MaximumPayloadSizeExceeded", "too_large"),
        ("SomethingNew", "given_up"),
    ],
)
def test_the_reason_follows_from_the_condition_and_the_detail_names_it(condition: str, reason: str) -> None:
    for letter in of_batch(given_up(condition=condition)):
        assert letter.reason == reason
        assert condition in letter.detail


@pytest.mark.parametrize("suffix", ["", ":$LATEST", ":started"])
def test_the_consumer_is_the_function_whose_batch_it_was(suffix: str) -> None:
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:sluice-prod-aggregate{suffix}"
    assert {letter.consumer for letter in of_batch(given_up(functionArn=arn))} == {"aggregate"}


def test_a_record_that_was_never_tried_says_so() -> None:
    assert {letter.attempts for letter in of_batch(given_up(approximateInvokeCount=0))} == {0}
    assert {letter.attempts for letter in of_batch(given_up(approximateInvokeCount="12"))} == {12}


def test_the_same_object_makes_the_same_letters_to_the_last_byte() -> None:
    assert of_batch(given_up()) == of_batch(given_up())
    assert of_output(undelivered(b"".join(rows()))) == of_output(undelivered(b"".join(rows())))


def test_an_event_of_the_largest_size_is_whole_in_its_letter() -> None:
    assert Limits().max_event < MOST
    (record, *_) = EVENT["records"]["raw-events-4"]
    largest = json.dumps({"event_id": "e", "diagnostics": "ä" * 15_000}, ensure_ascii=False).encode()
    largest += b" " * (Limits().max_event - len(largest))
    batch = {"records": {"raw-events-4": [record | {"value": base64.b64encode(largest).decode()}]}}
    (letter,) = of_batch(given_up(batch))
    assert kept(letter) == largest


def test_a_batch_of_ten_thousand_records_is_read_in_a_moment() -> None:
    (record, *_) = EVENT["records"]["raw-events-4"]
    batch = {"records": {"raw-events-4": [record | {"offset": number} for number in range(10_000)]}}
    began = time.process_time()
    letters = list(read_batch(given_up(batch), WRECK))
    assert [letter.kafka_offset for letter in letters] == list(range(10_000))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "change",
    [
        {"value": "%%% no base64"},
        {"value": 7},
        {"offset": "first"},
        {"offset": 10**30},
        {"partition": None},
        {"topic": "t" * 300},
        {"topic": ["raw-events"]},
        {"headers": {"sluice": [1]}},
        {"headers": [{"sluice": ["a"]}]},
    ],
)
def test_a_record_that_is_none_is_kept_as_it_was_written_and_its_neighbours_are_read(change: dict[str, Any]) -> None:
    good = EVENT["records"]["raw-events-4"][0]
    batch = {"records": {"raw-events-4": [good, good | change, good | {"offset": 9}]}}
    first, strange, last = of_batch(given_up(batch))
    assert json.loads(kept(strange)) == good | change
    assert (strange.reason, strange.consumer) == ("expired", "archive")
    assert "cannot be read" in strange.detail
    assert (first.kafka_offset, last.kafka_offset) == (100, 9)


def test_what_a_record_may_lack_it_may_lack() -> None:
    bare = {"topic": "raw-events", "partition": 1, "offset": 5}
    (letter,) = of_batch(given_up({"records": {"raw-events-1": [bare | {"headers": [{"x": None}, {"y": [-1, 300]}]}]}}))
    assert (kept(letter), letter.event_size, letter.kafka_offset) == (b"", 0, 5)


NO_BATCHES = [
    *BROKEN_JSON,
    given_up()[:-40],
    given_up(""),
    given_up("{"),
    given_up("[" * 100_000),
    given_up({}),
    given_up({"records": []}),
    given_up({"records": {}}),
    given_up({"records": {"raw-events-4": None}}),
    given_up({"records": {"raw-events-4": []}}),
    given_up(functionArn="archive"),
    given_up(functionArn=None),
    given_up(functionArn="arn:aws:lambda:us-east-1:1:function:" + "x" * 100_000),
    given_up(condition=None),
    given_up(approximateInvokeCount=-1),
    given_up(approximateInvokeCount=2**40),
    given_up(approximateInvokeCount={}),
]


@pytest.mark.shows_loss_path(
    fails="what was given up cannot be read",
    section="On the way to the dead letters",
    event_is="kept whole for 30 days, and in the dead letters as far as it can be read",
    told="no one",
    comes_back="by hand; its letter says where it is kept",
)
@pytest.mark.parametrize("data", NO_BATCHES, ids=range(len(NO_BATCHES)))
def test_an_object_that_is_no_batch_becomes_one_letter_with_its_bytes(data: bytes) -> None:
    (letter,) = of_batch(data)
    assert (letter.reason, letter.consumer, letter.event_size) == ("unreadable_object", "salvage", len(data))
    assert kept(letter) == data[:MOST]
    assert WRECK.kept_as in letter.detail


def test_every_row_of_every_pack_becomes_a_letter_with_the_events_own_bytes() -> None:
    packs = [undelivered(b"".join(rows()[:2])), undelivered(b"".join(rows()[2:]), attemptsMade="3")]
    letters = of_output(*packs)
    records = list(read_records(EVENT))
    assert [kept(letter) for letter in letters] == [record.value for record in records]
    for letter, line in zip(letters, rows(), strict=True):
        row = json.loads(line)
        told = ("fleet_id", "device_id", "event_id", "contract", "schema_version", "firmware", "correlation_id")
        for name in (*told, "received_at", "kafka_partition", "kafka_offset"):
            assert getattr(letter, name) == row.get(name), name
        assert letter.kafka_topic == "raw-events"
        assert (letter.reason, letter.consumer) == ("delivery_failed", "archive")
        assert "DataFormatConversion.MalformedData: Data does not match the schema." in letter.detail
    assert [letter.attempts for letter in letters] == [1, 1, 3]


@pytest.mark.parametrize("topic", ["raw-events", "replay-events"])
def test_a_row_that_names_its_topic_keeps_it(topic: str) -> None:
    # The release before wrote all columns.
    written = {"event_date": "2026-11-20", "flags": [], "metrics": {"cpu_temp": 48.5}, "kafka_topic": topic}
    (letter,) = of_output(undelivered(json.dumps(json.loads(rows()[0]) | written).encode()))
    (bare,) = of_output(undelivered(rows()[0]))
    assert letter == msgspec.structs.replace(bare, kafka_topic=topic)


def test_a_letter_about_a_row_has_the_id_of_the_letter_about_its_record() -> None:
    about_rows, about_records = of_output(undelivered(b"".join(rows()))), of_batch(given_up())
    for row, record in zip(about_rows, about_records, strict=True):
        # An activity without an id gets one only with its row.
        assert (row.letter_id == record.letter_id) == (record.event_id is not None)


def test_the_error_is_found_under_either_of_its_names() -> None:
    renamed = {"lastErrorCode": None, "lastErrorMessage": None, "ErrorCode": "Code", "ErrorMessage": "why"}
    (letter, *_) = of_output(undelivered(b"".join(rows()), **renamed))
    assert "Code: why" in letter.detail


def test_documents_are_separated_whether_lines_end_behind_them_or_not() -> None:
    one, two, three = (undelivered(row) for row in rows())
    assert of_output(one + two, b" " + three) == of_output(one, two, three)
    cut = of_output(one + two[:-30])
    assert [letter.reason for letter in cut] == ["delivery_failed", "unreadable_object"]
    assert kept(cut[1]) == two[:-30]


def test_lines_that_are_no_rows_are_kept_together_and_between_the_rows() -> None:
    first, second, third = rows()
    strange = [b'{"half": ', b"\xff\x00", b'{"event": 1}']
    letters = of_output(undelivered(first + b"\n".join(strange) + b"\n" + second + b"\n\n" + third[:-20]))
    assert [kept(letter) for letter in letters] == [
        json.loads(first)["event"].encode(),
        b"\n".join(strange) + b"\n",
        json.loads(second)["event"].encode(),
        b"\n\n" + third[:-20],
    ]
    assert {letter.reason for letter in letters} == {"delivery_failed"}


def test_a_row_whose_types_are_wrong_tells_what_is_right_of_it() -> None:
    row = json.loads(rows()[0])
    wrong = row | {"kafka_offset": "100", "schema_version": 2**40, "device_id": "x" * 500, "metrics": 3}
    (letter,) = of_output(undelivered(json.dumps(wrong).encode()))
    assert kept(letter) == row["event"].encode()
    assert (letter.kafka_offset, letter.schema_version, letter.device_id) == (None, None, None)
    assert (letter.fleet_id, letter.kafka_partition) == (row["fleet_id"], row["kafka_partition"])


@pytest.mark.parametrize("data", [b"", b" ", b"\n\n", b"no rows at all", b"\xff" * 200_000])
def test_a_pack_without_a_row_becomes_one_letter_with_its_bytes(data: bytes) -> None:
    (letter,) = of_output(undelivered(data))
    assert (letter.reason, kept(letter), letter.event_size) == ("delivery_failed", data[:MOST], len(data))


NO_DOCUMENTS = [
    *(line for line in BROKEN_JSON if line),
    undelivered("%%% no base64"),
    undelivered("", rawData=None),
    undelivered("", rawData=7),
    undelivered(b"x", attemptsMade="often"),
    undelivered(b"x", attemptsMade=2**40),
    undelivered(b"x", lastErrorCode={}),
]


@pytest.mark.parametrize("line", NO_DOCUMENTS, ids=range(len(NO_DOCUMENTS)))
def test_a_line_that_is_no_document_becomes_one_letter_with_its_bytes(line: bytes) -> None:
    (letter,) = of_output(line)
    assert (letter.reason, letter.consumer, kept(letter)) == ("unreadable_object", "salvage", line[:MOST])


def test_an_object_without_a_line_leaves_a_letter_too() -> None:
    for lines in ([], [b""], [b" ", b""]):
        (letter,) = of_output(*lines)
        assert letter.reason == "unreadable_object"
