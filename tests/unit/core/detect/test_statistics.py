"""The published form of statistics: read back as written, and no statistics where it is damaged or newer."""

from datetime import UTC, datetime

import msgspec
import pytest

from sluice.core.detect.statistics import (
    CELLS,
    VERSION,
    DeviceStatistics,
    SeriesStatistics,
    Usual,
    cell_of,
    list_hours,
    read_statistics,
    write_statistics,
)

MONDAY = datetime(2026, 11, 30, 9, 59, tzinfo=UTC)
ONE = DeviceStatistics(
    VERSION, MONDAY.timestamp(), 5, {"cpu_temp": SeriesStatistics(Usual(1.5, 0.5, 30), 10.0, 1.0, 2.0, (None,))}
)


def test_statistics_are_read_as_they_were_written() -> None:
    assert read_statistics(write_statistics(ONE)) == ONE


@pytest.mark.parametrize("data", [None, b"", b"\xc1", b"[1,2]", msgspec.msgpack.encode([VERSION, "x", 5, {}])])
def test_what_cannot_be_read_is_no_statistics(data: bytes | None) -> None:
    assert read_statistics(data) is None


def test_an_element_that_a_later_release_appended_is_ignored_and_a_later_version_is_missing() -> None:
    elements = msgspec.msgpack.decode(write_statistics(ONE))
    assert read_statistics(msgspec.msgpack.encode([*elements, "new"])) == ONE
    assert read_statistics(msgspec.msgpack.encode([VERSION + 1, *elements[1:]])) is None


def test_the_statistics_of_a_device_take_few_bytes() -> None:
    hours = tuple(Usual(48.123456789, 0.123456789, 20_000) for _ in range(8))
    series = SeriesStatistics(Usual(48.123456789, 0.987654321, 360), 10.0, 40.0, 60.0, hours)
    names = ("cpu_temp", "vibration_rms", "supply_voltage", "humidity")
    assert len(write_statistics(DeviceStatistics(VERSION, 1e9, 5, dict.fromkeys(names, series)))) < 1024


def test_hours_of_working_days_and_of_the_weekend_are_apart() -> None:
    saturday = datetime(2026, 12, 5, 9, 59, tzinfo=UTC)
    assert (cell_of(MONDAY), cell_of(saturday)) == (9, 33)
    cells = {cell: Usual(float(cell), 1.0, 30) for cell in range(CELLS)}
    friday_evening = int(datetime(2026, 12, 4, 22, tzinfo=UTC).timestamp()) // 3600
    listed = list_hours(cells, friday_evening, 4)
    assert [usual and usual.mean for usual in listed] == [22.0, 23.0, 24.0, 25.0]
