"""What each kind of rule says of a reading, with statistics that are good, missing, or no numbers."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.core.detect.judging import FAR, explain, measure_reading, state_of
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import VERSION, DeviceStatistics, SeriesStatistics, Usual

NOON = datetime(2026, 11, 30, 12, 10, tzinfo=UTC)
HOUR = int(NOON.timestamp()) // 3600
SERIES = SeriesStatistics(
    Usual(20.0, 2.0, 300), 10.0, 10.0, 30.0, (Usual(18.0, 1.0, 2000), Usual(22.0, 0.5, 2000), None)
)
DEVICE = DeviceStatistics(VERSION, NOON.timestamp(), HOUR - 1, {"cpu_temp": SERIES})
GRAIN = 0.1


def rule(kind: Any, opens: float, clears: float) -> SeriesRule:
    return SeriesRule(fleet_id="demo", rule_id="one", version=1, metric="cpu_temp", kind=kind, open=opens, clear=clears)


def judge(
    made: SeriesRule, value: float, *, at: datetime = NOON, series: SeriesStatistics | None = SERIES
) -> str | None:
    measured = measure_reading(made, value, at, (DEVICE, series) if series is not None else None, GRAIN)
    return None if measured is None else state_of(made, measured.away)


@pytest.mark.parametrize(
    ("made", "breach", "between", "clear"),
    [
        (rule("above", 80, 75), 80.1, 78.0, 75.0),
        (rule("below", 10, 12), 9.9, 11.0, 12.0),
        # The last hour: 20, and 2 is a standard deviation.
        (rule("zscore", 3, 2), 13.9, 25.0, 24.0),
        # This hour of the day: 22 and 0.5.
        (rule("baseline", 3, 2), 23.6, 23.2, 21.0),
        # A quarter of the range from 10 to 30 is 5.
        (rule("range", 0.25, 0.1), 35.1, 33.0, 29.0),
    ],
    ids=lambda given: given.kind if isinstance(given, SeriesRule) else str(given),
)
def test_a_reading_is_a_breach_beyond_open_clear_from_clear_on_and_neither_between_them(
    made: SeriesRule, breach: float, between: float, clear: float
) -> None:
    assert [judge(made, value) for value in (breach, between, clear)] == ["breach", "between", "clear"]


@pytest.mark.parametrize("kind", ["zscore", "baseline", "range"])
def test_without_statistics_only_thresholds_judge(kind: Any) -> None:
    unlearned = SeriesStatistics(Usual(20.0, 2.0, 29), 10.0)
    for series in (None, unlearned):
        assert judge(rule(kind, 3, 2), 1e9, series=series) is None
        assert judge(rule("above", 80, 75), 80.1, series=series) == "breach"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_judges_nothing_and_is_not_judged(number: float) -> None:
    broken = SeriesStatistics(Usual(number, 2.0, 300), 10.0, number, 30.0, (None, Usual(22.0, number, 2000)))
    for kind in ("zscore", "baseline", "range"):
        assert judge(rule(kind, 3, 2), 50.0, series=broken) is None
        assert judge(rule(kind, 3, 2), number) is None
    assert judge(rule("above", 80, 75), number) is None


def test_the_baseline_is_that_of_the_readings_own_hour() -> None:
    assert judge(rule("baseline", 3, 2), 18.0) == "breach"
    assert judge(rule("baseline", 3, 2), 18.0, at=NOON - timedelta(hours=1)) == "clear"
    # An hour of which nothing is known, and one that is not published.
    assert judge(rule("baseline", 3, 2), 18.0, at=NOON + timedelta(hours=1)) is None
    assert judge(rule("baseline", 3, 2), 18.0, at=NOON + timedelta(hours=9)) is None


def test_nothing_finer_than_the_sensors_resolution_is_a_deviation() -> None:
    still = SeriesStatistics(Usual(20.0, 0.0, 300), 10.0, 20.0, 20.0)
    assert judge(rule("zscore", 3, 2), 20.1, series=still) == "clear"
    assert judge(rule("zscore", 3, 2), 20.4, series=still) == "breach"
    # A range of ten steps at least.
    assert judge(rule("range", 0.25, 0.1), 20.05, series=still) == "clear"
    assert judge(rule("range", 0.25, 0.1), 20.2, series=still) == "between"
    assert judge(rule("range", 0.25, 0.1), 20.3, series=still) == "breach"
    measured = measure_reading(rule("zscore", 3, 2), 20.4, NOON, (DEVICE, still), 0.0)
    assert measured is not None
    assert measured.away == FAR  # and not an infinity, which JSON has not


@pytest.mark.parametrize(
    ("made", "value", "words"),
    [
        (rule("above", 80, 75), 81.5, "81.5 degC is above the threshold of 80 degC"),
        (
            rule("zscore", 3, 2),
            10.0,
            "10 degC is 5 standard deviations from the mean of the last hour, 20 degC; the rule allows 3",
        ),
        (
            rule("range", 0.25, 0.1),
            40.0,
            "40 degC is outside of 10 to 30 degC, the range of the last days, by 0.5 of it; the rule allows 0.25",
        ),
    ],
)
def test_the_reason_says_what_the_reading_was_compared_with(made: SeriesRule, value: float, words: str) -> None:
    measured = measure_reading(made, value, NOON, (DEVICE, SERIES), GRAIN)
    assert measured is not None
    assert explain(made, value, "degC", measured) == words
