"""What is noted of a raw file besides its records: when these were received, and the hours of the late ones."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.core.events.envelope import REDRIVEN
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL
from sluice.edge.ledger.stored_records import UNKNOWN, Displaced, as_micros, find_receptions, read_rows
from tests.support.samples import NOW
from tests.unit.edge.replay.parquet import row, write_file

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)


def read(rows: list[dict[str, Any]], without: tuple[str, ...] = (), *, int96: bool = True) -> Any:
    return read_rows(io.BytesIO(write_file(rows, without, int96=int96)), lambda: NOW)


@pytest.mark.parametrize("int96", [True, False])
def test_late_events_are_counted_by_their_fleet_and_their_own_hour(int96: bool) -> None:
    late = {"flags": [LATE_ARRIVAL]}
    rows = [
        row(1, NINE - 5 * HOUR, NINE, **late),
        row(2, NINE - 4 * HOUR - MINUTE, NINE, **late),
        row(3, NINE - 4 * HOUR, NINE, **late),
        row(4, NINE - 5 * HOUR, NINE, fleet_id="other", flags=["more", LATE_ARRIVAL]),
        row(5, NINE, NINE, flags=[CLOCK_AHEAD]),
        row(6, NINE, NINE, flags=[]),
        row(7, NINE, NINE),
    ]
    records, index = read(rows, int96=int96)
    assert records.num_rows == len(rows)
    found = index.late
    assert found == Displaced(
        {("demo", NINE - 5 * HOUR): 2, ("demo", NINE - 4 * HOUR): 1, ("other", NINE - 5 * HOUR): 1}
    )
    # The database takes Python's own times.
    assert {type(hour) for _, hour in found} == {datetime}


@pytest.mark.parametrize("without", [("flags",), ("event_time",), ("flags", "event_time")])
def test_a_file_without_flags_or_times_is_counted_all_the_same(without: tuple[str, ...]) -> None:
    records, index = read([row(1, NINE), row(2, NINE)], without)
    assert (records.num_rows, index.late, index.redriven) == (2, Displaced(), Displaced())


def test_redriven_events_are_found_by_the_hour_in_which_they_count_and_say_nothing_of_their_topic() -> None:
    rows = [
        row(1, NINE, NINE, flags=[REDRIVEN]),
        row(2, NINE - 3 * HOUR, NINE, flags=[LATE_ARRIVAL, REDRIVEN]),
        row(3, NINE + 5 * HOUR, NINE, flags=[CLOCK_AHEAD, REDRIVEN]),
        row(4, NINE, NINE),
    ]
    records, index = read(rows)
    assert index.redriven == Displaced({("demo", NINE): 2, ("demo", NINE - 3 * HOUR): 1})
    assert index.late == Displaced({("demo", NINE - 3 * HOUR): 1})
    # They are counted in the hour of their reception. That is no hint at a recreated topic.
    assert records["received"].to_pylist() == [UNKNOWN, UNKNOWN, UNKNOWN, as_micros(NINE)]
    assert set(records["hour"].to_pylist()) == {as_micros(NINE)}


def test_the_first_and_the_last_reception_of_a_file_are_noted() -> None:
    records, _ = read([row(1, NINE, NINE + MINUTE), row(2, NINE, NINE), row(3, NINE, NINE + 2 * MINUTE)])
    assert find_receptions(records) == (NINE, NINE + 2 * MINUTE)


def test_without_a_row_or_with_one_whose_reception_nobody_can_believe_no_bounds_are_noted() -> None:
    # A replay reads such a file whatever its hours are.
    for rows in (
        [],
        [row(1, NINE), row(2, NINE, NOW + timedelta(days=400))],
        [row(1, NINE, datetime(1990, 1, 1, tzinfo=UTC))],
    ):
        assert find_receptions(read(rows)[0]) == (None, None)
