import json

import msgspec
import pytest

from sluice.core.archive.rows import Row, make_row, pack_rows
from sluice.core.errors import Ahead, Poison
from sluice.core.records import KafkaRecord, Origin, read_records
from tests.support import samples

BATCH = list(read_records(samples.read("lambda/raw-events-batch.json")))
HEADER = BATCH[0].headers["sluice"]
RECEIVED = b"2026-11-20T09:30:05.250000Z"


def test_a_row_holds_the_event_as_sent_beside_the_columns_taken_from_it() -> None:
    row = make_row(BATCH[0], samples.contracts())
    assert row.event.encode() == samples.read_bytes("telemetry-v1.json")
    assert (row.fleet_id, row.device_id, row.firmware) == ("demo", "press-0007", "1.8.3")
    assert row.event_time == "2026-11-20T09:30:00.250000Z"
    assert row.received_at == "2026-11-20T09:30:05.250000Z"
    assert (row.kafka_partition, row.kafka_offset) == (4, 100)


def test_a_row_leaves_out_what_follows_from_the_rest() -> None:
    written = json.loads(msgspec.json.encode(make_row(BATCH[0], samples.contracts())))
    assert written.keys() == set(Row.__struct_fields__) - {"flags", "metrics", "kafka_topic"}


def test_what_does_not_follow_from_the_rest_is_written() -> None:
    envelope = msgspec.json.encode([*json.loads(HEADER)[:5], ["late_arrival"], "c"])
    origin = Origin("replay-events", 4, 100)
    row = make_row(KafkaRecord(origin, BATCH[0].value, {"sluice": envelope}), samples.contracts())
    assert (row.flags, row.kafka_topic) == (("late_arrival",), "replay-events")
    reading = msgspec.json.encode([1, RECEIVED.decode(), "demo", "reading", 1, [], "c"])
    value = samples.read_bytes("reading-v1.json")
    row = make_row(KafkaRecord(origin, value, {"sluice": reading}), samples.contracts())
    assert (row.metrics or {})["temperature"] == pytest.approx(21.5)
    assert "firmware" not in json.loads(msgspec.json.encode(row))


@pytest.mark.parametrize(
    "record",
    [
        KafkaRecord(BATCH[0].origin, BATCH[0].value, {}),
        KafkaRecord(BATCH[0].origin, BATCH[0].value, {"sluice": b"\xff"}),
        KafkaRecord(BATCH[0].origin, BATCH[0].value, {"sluice": b"[1]"}),
        KafkaRecord(BATCH[0].origin, BATCH[0].value, {"sluice": BATCH[0].headers["sluice"].replace(b"[1,", b"[0,", 1)}),
        KafkaRecord(BATCH[0].origin, BATCH[0].value, {"sluice": b'[2,"yesterday","demo","telemetry",1]'}),
        KafkaRecord(
            BATCH[0].origin, BATCH[0].value, {"sluice": BATCH[0].headers["sluice"].replace(b"telemetry", b"no name")}
        ),
        KafkaRecord(BATCH[0].origin, b"not json", BATCH[0].headers),
        KafkaRecord(BATCH[0].origin, b"", BATCH[0].headers),
        KafkaRecord(BATCH[0].origin, BATCH[0].value[:-1] + b',"diagnostics":{"x":"\xff"}}', BATCH[0].headers),
        KafkaRecord(BATCH[0].origin, b"[" * 5000, BATCH[0].headers),
        KafkaRecord(BATCH[0].origin, BATCH[0].value[:-1] + b" " * 32_768 + b"}", BATCH[0].headers),
        KafkaRecord(
            BATCH[0].origin, BATCH[0].value, {"sluice": BATCH[0].headers["sluice"].replace(b'y",1,', b'y",%d,' % 2**40)}
        ),
        KafkaRecord(BATCH[0].origin, b"{}", BATCH[0].headers),
        *(
            KafkaRecord(BATCH[0].origin, BATCH[0].value, {"sluice": HEADER.replace(RECEIVED, moment)})
            for moment in (b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00")
        ),
    ],
)
def test_a_record_that_never_came_through_our_edge_is_poison(record: KafkaRecord) -> None:
    with pytest.raises(Poison):
        make_row(record, samples.contracts())


@pytest.mark.parametrize(
    "header", [HEADER.replace(b"[1,", b"[2,", 1), HEADER.replace(b'"telemetry",1,', b'"telemetry",9,')]
)
def test_a_newer_release_may_take_larger_events(header: bytes) -> None:
    assert header != HEADER
    with pytest.raises(Ahead):
        make_row(KafkaRecord(BATCH[0].origin, b" " * 40_000, {"sluice": header}), samples.contracts())


def test_rows_fill_records_to_the_limit_and_know_what_they_hold() -> None:
    rows = [(record.origin, make_row(record, samples.contracts())) for record in BATCH] * 4
    longest = max(len(msgspec.json.encode(row)) + 1 for _, row in rows)
    packs = list(pack_rows(rows, max_record=2 * longest))
    assert [origin for pack in packs for origin in pack.origins] == [origin for origin, _ in rows]
    assert all(len(pack.data) <= 2 * longest for pack in packs)
    assert len(packs) < len(rows)
    lines = [json.loads(line) for pack in packs for line in pack.data.splitlines()]
    assert [line["kafka_offset"] for line in lines] == [origin.offset for origin, _ in rows]
