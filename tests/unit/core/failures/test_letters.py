import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from sluice.core.errors import Ahead, Killer, Poison
from sluice.core.failures.letterbox import collect
from sluice.core.failures.letters import Letter, about_record, read_unverified_fields, write_letter
from sluice.core.records import KafkaRecord, Origin, read_records
from tests.support import samples

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[4] / "schemas/dead_letter/1.json").read_text())


def letter(body: bytes, **known: Any) -> Letter:
    origin = {"fleet_id": "demo", "event_id": "e-1"} | known
    return write_letter(
        reason="contract_violation",
        detail="d",
        body=body,
        max_body=8,
        consumer="ingest",
        failed_at=samples.NOW,
        **origin,
    )


def record(value: bytes, offset: int, headers: dict[str, bytes] | None = None, partition: int = 2) -> KafkaRecord:
    return KafkaRecord(Origin("dead-letter", partition, offset), value, headers or {})


def test_the_same_bytes_of_the_same_event_make_the_same_letter() -> None:
    assert letter(b"{}").letter_id == letter(b"{}").letter_id
    others = [letter(b"{ }"), letter(b"{}", fleet_id="other"), letter(b"{}", event_id=None)]
    assert len({one.letter_id for one in [letter(b"{}"), *others]}) == 4


@pytest.mark.parametrize(
    ("body", "event", "event_base64"),
    [
        (b"{}", "{}", None),
        (b"0123456789", "01234567", None),
        ("0123456ä9".encode(), "0123456", None),
        (b"\xff{}", None, "/3t9"),
        (b"", "", None),
    ],
)
def test_a_letter_holds_the_bytes_as_text_if_they_are_and_as_many_as_are_kept(
    body: bytes, event: str | None, event_base64: str | None
) -> None:
    written = letter(body)
    assert (written.event, written.event_base64, written.event_size) == (event, event_base64, len(body))
    jsonschema.validate(msgspec.to_builtins(written), SCHEMA)


def test_what_a_document_says_of_itself_is_taken_only_when_it_is_fit_to_be_written() -> None:
    assert read_unverified_fields({"event_id": "e", "source": "s", "firmware_version": "1"}).device_id == "s"
    assert (
        read_unverified_fields({"event_id": "x" * 129, "device_id": "a\nb", "device_firmware_version": 3}).event_id
        is None
    )
    assert read_unverified_fields([1]).device_id is None


def test_a_poison_record_is_kept_with_its_place_and_what_can_be_read_of_it() -> None:
    (good, *_) = read_records(samples.read("lambda/raw-events-batch.json"))
    broken = msgspec.structs.replace(good, value=b"\xff")
    written = about_record(broken, Poison("not JSON"), "archive", samples.NOW)
    assert (written.kafka_topic, written.kafka_partition, written.kafka_offset) == ("raw-events", 4, 100)
    assert (written.fleet_id, written.contract, written.event_base64) == ("demo", "telemetry", "/w==")
    nameless = msgspec.structs.replace(good, headers={})
    written = about_record(nameless, Poison("no header"), "archive", samples.NOW)
    assert (written.fleet_id, written.device_id) == (None, "press-0007")
    jsonschema.validate(msgspec.to_builtins(written), SCHEMA)


def test_a_killer_is_kept_with_what_was_seen_and_what_ended_a_process_is_not_read_again() -> None:
    (good, *_) = read_records(samples.read("lambda/raw-events-batch.json"))
    raised, killed = Killer("KeyError: 'x'", 3, deadly=False), Killer("died twice", 5, deadly=True)
    written = about_record(good, raised, "archive", samples.NOW)
    assert (written.reason, written.detail, written.attempts) == ("killer_record", "KeyError: 'x'", 3)
    assert (written.fleet_id, written.device_id, written.event) == ("demo", "press-0007", good.value.decode())
    written = about_record(good, killed, "archive", samples.NOW)
    assert (written.reason, written.attempts, written.event) == ("killer_record", 5, good.value.decode())
    assert (written.fleet_id, written.device_id, written.event_id) == ("demo", None, None)
    jsonschema.validate(msgspec.to_builtins(written), SCHEMA)


def test_the_largest_letter_fits_a_kafka_record() -> None:
    (good, *_) = read_records(samples.read("lambda/raw-events-batch.json"))
    header = msgspec.json.encode([1, samples.NOW, "f" * 300_000, "c" * 300_000, 1, [], "i" * 300_000])
    huge = msgspec.structs.replace(good, value=b"\x01" * 900_000, headers={"sluice": header})
    written = about_record(huge, Poison("x" * 10_000), "archive", samples.NOW)
    assert len(msgspec.json.encode(written)) < 1_000_000
    assert written.event_size == 900_000


@pytest.mark.parametrize(
    "change",
    [
        {"kafka_offset": 10**30},
        {"schema_version": 2**40},
        {"failed_at": "yesterday"},
        {"failed_at": "2026-11-31T00:00:00.000000Z"},
        {"version": 0},
        {"event_base64": ""},
    ],
)
def test_a_letter_the_table_could_not_hold_is_kept_as_unreadable(change: dict[str, Any]) -> None:
    broken = json.dumps(msgspec.to_builtins(letter(b"{}")) | change).encode()
    (body,) = collect([record(broken, 1)], "eu-west-1", samples.NOW).values()
    assert json.loads(gzip.decompress(body.data))["reason"] == "unreadable_letter"


def test_letters_of_a_batch_are_kept_by_partition_and_day_under_names_that_a_retry_repeats() -> None:
    lines = [msgspec.json.encode(letter(b"1")), msgspec.json.encode(letter(b"2"))]
    records = [record(lines[0], 7), record(lines[1], 8), record(lines[0], 3, partition=0)]
    kept = collect(records, "eu-west-1", samples.NOW)
    assert list(kept) == [
        "dead_letters/region=eu-west-1/dt=2026-11-20/00002-00000000000000000007.json.gz",
        "dead_letters/region=eu-west-1/dt=2026-11-20/00000-00000000000000000003.json.gz",
    ]
    assert collect(records, "eu-west-1", samples.NOW) == kept
    rows = [json.loads(line) for line in gzip.decompress(next(iter(kept.values())).data).splitlines()]
    assert [row["event"] for row in rows] == ["1", "2"]
    assert rows[0]["failed_at"] == "2026-11-20 09:30:05.250000"


def test_a_letter_that_breaks_its_reader_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_value: bytes) -> None:
        raise OverflowError("an unforeseen error")

    monkeypatch.setattr("sluice.core.failures.letterbox._decode", breaks)
    (body,) = collect([record(b"{}", 1)], "eu-west-1", samples.NOW).values()
    row = json.loads(gzip.decompress(body.data))
    assert (row["reason"], row["detail"], row["event"]) == ("unreadable_letter", "an unforeseen error", "{}")


def test_what_is_no_letter_is_kept_all_the_same() -> None:
    (body,) = collect([record(b"\xff\x00", 1)], "eu-west-1", samples.NOW).values()
    (row,) = [json.loads(line) for line in gzip.decompress(body.data).splitlines()]
    assert (row["reason"], row["event_base64"], row["consumer"]) == ("unreadable_letter", "/wA=", "deadletter")


def test_a_letter_of_a_newer_release_is_kept_with_all_that_it_says() -> None:
    written = msgspec.to_builtins(letter(b"{}")) | {
        "version": 2,
        "mended_by": {"release": [1, 2.50]},
        "received_at": None,
    }
    (body,) = collect([record(json.dumps(written).encode(), 1)], "eu-west-1", samples.NOW).values()
    kept = json.loads(gzip.decompress(body.data))
    assert kept == written | {"failed_at": "2026-11-20 09:30:05.250000"}


def test_a_record_of_a_newer_release_is_kept_with_its_envelope_and_what_every_version_says() -> None:
    (good, *_) = read_records(samples.read("lambda/raw-events-batch.json"))
    header = b'[2,"2026-11-20T09:30:05.250000Z","demo","telemetry",4,{"changed":true},"c",7]'
    written = about_record(
        msgspec.structs.replace(good, headers={"sluice": header}), Ahead("envelope 2"), "archive", samples.NOW
    )
    assert (written.reason, written.detail) == ("version_ahead", "this release does not know envelope 2")
    assert (written.envelope, written.event) == (header.decode(), good.value.decode())
    assert (written.fleet_id, written.contract, written.schema_version) == ("demo", "telemetry", 4)
    assert (written.received_at, written.correlation_id) == ("2026-11-20T09:30:05.250000Z", None)
    jsonschema.validate(msgspec.to_builtins(written), SCHEMA)
