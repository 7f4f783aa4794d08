from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from sluice.core.rollup_archive.files import StoreSpan, Totals, Unverified, compare, cut_slices, name_object

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
TOTALS = Totals(rows=2, events=12, total=100.0, low=1.0, high=9.0, m2=4.0, binned=12)


def test_slices_cover_a_span_without_gap_or_overlap_and_stay_within_days() -> None:
    start, end = MIDNIGHT + timedelta(hours=5), MIDNIGHT + timedelta(days=2, hours=3)
    slices = list(cut_slices("1m", start, end, timedelta(hours=10)))
    assert [(part.start, part.end) for part in slices] == [
        (start, start + timedelta(hours=10)),
        (start + timedelta(hours=10), MIDNIGHT + timedelta(days=1)),
        (MIDNIGHT + timedelta(hours=24), MIDNIGHT + timedelta(hours=34)),
        (MIDNIGHT + timedelta(hours=34), MIDNIGHT + timedelta(hours=44)),
        (MIDNIGHT + timedelta(hours=44), MIDNIGHT + timedelta(hours=48)),
        (MIDNIGHT + timedelta(hours=48), end),
    ]


def test_a_span_that_was_moved_has_no_slices_left() -> None:
    assert list(cut_slices("1h", MIDNIGHT, MIDNIGHT, timedelta(days=1))) == []


def test_a_file_lies_under_its_resolution_and_day_and_is_named_by_what_is_in_it() -> None:
    part = StoreSpan("1m", MIDNIGHT + timedelta(hours=7), MIDNIGHT + timedelta(hours=8))
    assert name_object(part, 3, "0123456789abcdef" * 4) == (
        "rollups/resolution=1m/dt=2026-03-01/0700-0003-0123456789abcdef.parquet"
    )


@pytest.mark.parametrize("field", ["rows", "events", "low", "high", "binned"])
def test_what_is_counted_has_to_be_exactly_the_same(field: str) -> None:
    with pytest.raises(Unverified, match="cpu_temp"):
        compare({"cpu_temp": TOTALS}, {"cpu_temp": replace(TOTALS, **{field: getattr(TOTALS, field) + 1})})


@pytest.mark.parametrize("field", ["total", "m2"])
def test_sums_may_differ_by_the_order_they_were_added_in_and_no_more(field: str) -> None:
    value = getattr(TOTALS, field)
    compare({"cpu_temp": TOTALS}, {"cpu_temp": replace(TOTALS, **{field: value * (1 + 1e-12)})})
    with pytest.raises(Unverified, match="cpu_temp"):
        compare({"cpu_temp": TOTALS}, {"cpu_temp": replace(TOTALS, **{field: value * (1 + 1e-6)})})


def test_a_sum_around_zero_is_measured_by_what_it_is_made_of() -> None:
    stored = replace(TOTALS, total=1e-15, low=-9.0, high=9.0)
    compare({"cpu_temp": stored}, {"cpu_temp": replace(stored, total=-1e-15)})


def test_a_metric_that_one_side_does_not_have_is_noticed() -> None:
    with pytest.raises(Unverified, match="humidity"):
        compare({"cpu_temp": TOTALS, "humidity": TOTALS}, {"cpu_temp": TOTALS})
    compare({}, {})
