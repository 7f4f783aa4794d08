"""Rows as Athena writes them, read into types."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sluice.core.records import Origin
from sluice.core.trace.lake_search import read_copy, read_letters

ID = "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d21"
ROW: dict[str, str | None] = {
    "fleet_id": "demo",
    "device_id": "press-1",
    "kafka_topic": "raw-events",
    "kafka_partition": "4",
    "kafka_offset": "9223372036854775807",
    "received_at": "2026-11-20 12:00:00.250",
    "event_time": "2026-11-20 11:59:59.000",
    "clock_ahead": "false",
    "late_arrival": "true",
    "contract": "telemetry",
    "schema_version": "2",
    "firmware": None,
    "event_type": "telemetry",
    "correlation_id": "c-1",
    "variant": "1",
    "file": "s3://raw/a.parquet",
}
LETTER: dict[str, str | None] = {
    "fleet_id": "demo",
    "device_id": None,
    "event_id": ID.upper(),
    "letter_id": "l",
    "reason": "poison_record",
    "detail": "no header",
    "consumer": "archive",
    "attempts": "3",
    "failed_at": "2026-11-20 12:00:00.250",
    "event_size": "12",
    "correlation_id": None,
    "kafka_topic": "raw-events",
    "kafka_partition": "4",
    "kafka_offset": "7",
    "file": "s3://letters/a.json.gz",
}


def test_a_copy_is_read_with_its_place_its_times_and_its_flags() -> None:
    copy = read_copy(ROW)
    assert copy.origin == Origin("raw-events", 4, 2**63 - 1)
    assert copy.received_at == datetime(2026, 11, 20, 12, 0, 0, 250_000, UTC)
    assert copy.flags == ("late_arrival",)
    assert (copy.firmware, copy.schema_version, copy.variant) == (None, 2, 1)


@pytest.mark.parametrize("text", [None, "+292278994-08-17 07:12:55.807", "-0001-01-01 00:00:00.000"])
def test_a_devices_time_that_cannot_be_read_is_none(text: str | None) -> None:
    assert read_copy(ROW | {"event_time": text}).event_time is None


@pytest.mark.parametrize("flag", [None, "false"])
def test_a_flag_that_is_not_raised_is_not_told(flag: str | None) -> None:
    assert read_copy(ROW | {"late_arrival": flag}).flags == ()


def test_a_row_without_its_place_is_a_defect() -> None:
    with pytest.raises(ValueError, match=r"got `null` - at `\$.origin.topic`"):
        read_copy(ROW | {"kafka_topic": None})


def test_a_letter_is_read_with_the_place_of_its_record_where_it_has_one() -> None:
    (letter,) = read_letters([LETTER], ID)
    assert (letter.origin, letter.attempts, letter.device_id) == (Origin("raw-events", 4, 7), 3, None)
    (letter,) = read_letters([LETTER | {"kafka_topic": None, "kafka_partition": None, "kafka_offset": None}], ID)
    assert letter.origin is None


@pytest.mark.parametrize(
    ("asked", "sent", "found"),
    [(ID, ID, 1), (ID, ID.upper(), 1), ("Reading-A", "Reading-A", 1), ("reading-a", "Reading-A", 0)],
)
def test_only_letters_of_the_same_id_are_of_the_event(asked: str, sent: str, found: int) -> None:
    row: dict[str, Any] = LETTER | {"event_id": sent}
    assert len(read_letters([row], asked)) == found
