"""Records that are run again arrive as the event source sends them, and are named as far as they can be read."""

from typing import Any

import msgspec
import pytest

from local.models import kafka_event
from sluice.core.events.envelope import HEADER
from sluice.core.ledger.rerun import MOST_BYTES, ReadRecord, Taken, name_event, write_event
from sluice.core.records import Origin, read_records
from tests.support import samples

ENVELOPE = b'[1,"2026-11-20T09:30:01Z","demo","telemetry",2,["late_arrival"],"c"]'


def record(offset: int = 7, value: bytes | None = None, header: bytes = ENVELOPE) -> ReadRecord:
    value = samples.read_bytes("telemetry-v2.json") if value is None else value
    return ReadRecord(
        Origin("raw-events", 3, offset), 1, 1700000000000, b"press-1", value, ((HEADER, header), ("t", b"\xc3\xa9"))
    )


def test_an_event_is_what_the_model_of_the_event_source_writes() -> None:
    records = [
        record(7),
        record(8, b"\x00\xff"),
        ReadRecord(Origin("raw-events", 3, 9), 0, -1, None, None, (("n", None),)),
    ]
    model = [
        kafka_event.Record(
            one.origin.topic, one.origin.partition, one.origin.offset, one.timestamp, one.timestamp_type, one.key,
            one.value, one.headers,
        )
        for one in records
    ]  # fmt: skip
    again: Any = msgspec.json.decode(write_event(records, "arn", "broker"))
    delivered: Any = msgspec.json.decode(kafka_event.event(model, "arn", "broker"))
    assert again == delivered | {"rerun": 7}
    assert MOST_BYTES == kafka_event.PAYLOAD_BYTES
    assert len(write_event(records, "", "")) < sum(one.payload_bytes for one in records) + 4096


def test_a_consumer_reads_from_it_what_the_record_was() -> None:
    (read,) = read_records(msgspec.json.decode(write_event([record()], "arn", "broker")))
    assert (read.origin, read.value) == (Origin("raw-events", 3, 7), samples.read_bytes("telemetry-v2.json"))
    assert read.headers == {HEADER: ENVELOPE, "t": b"\xc3\xa9"}


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b'{"batchItemFailures": []}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": {"partition": "raw-events-3", "offset": 8}}]}', 8),
    ],
)
def test_an_answer_says_from_where_records_must_be_run_again(answer: bytes, failed: int | None) -> None:
    assert msgspec.json.decode(answer, type=Taken).failed_at() == failed


def test_an_event_is_named_by_its_record_as_far_as_that_can_be_read() -> None:
    named = name_event(record(), samples.contracts())
    sent = samples.read("telemetry-v2.json")
    assert (named.fleet_id, named.device_id, named.event_id) == ("demo", sent["device_id"], sent["event_id"])
    poison = name_event(record(value=b"{"), samples.contracts())
    assert (poison.fleet_id, poison.event_id, poison.received_at) == ("demo", None, named.received_at)
    ahead = name_event(record(header=b'[2,"2026-11-20T09:30:01Z","demo","telemetry",2]'), samples.contracts())
    assert (ahead.fleet_id, ahead.event_id, ahead.received_at) == ("demo", None, named.received_at)
    assert name_event(record(header=b"?"), samples.contracts()).fleet_id == ""
    contracts: Any = None
    named = name_event(record(), contracts)
    assert (named.fleet_id, named.event_id) == ("demo", None)
    headers: Any = b"neither bytes nor nothing".decode()
    assert name_event(record(header=headers), samples.contracts()).fleet_id == ""
