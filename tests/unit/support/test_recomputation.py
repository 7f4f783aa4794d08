"""The checker of the numbers must be able to fail: one row lost, doubled or altered, in raw or in the database."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import fmean, quantiles
from typing import Any

import pytest

from tests.support.recomputation import (
    Numbers,
    RawEvent,
    Rollup,
    Window,
    convert,
    distinct,
    find_differences,
    percentile,
    recompute,
)

HOUR = datetime(2026, 1, 31, 12, tzinfo=UTC)
CLOSED = HOUR + timedelta(hours=1)
NAME = "00000000-0000-4000-8000-{:012d}"


def telemetry(number: int, minute: float = 0, version: int = 1, **metrics: float) -> RawEvent:
    """An event as the raw store holds it, received right away."""
    moment = HOUR + timedelta(minutes=minute)
    document = {
        "event_id": NAME.format(number),
        "device_id": f"press-{number % 2}",
        "timestamp": moment.isoformat(),
        "metrics": metrics or {"cpu_temp": 40 + number / 10, "vibration_rms": 2 - number / 100},
    }
    return RawEvent(
        fleet_id="demo",
        device_id=f"press-{number % 2}",
        event_id=NAME.format(number),
        contract="telemetry",
        schema_version=version,
        received_at=moment + timedelta(seconds=1),
        flags=(),
        event=json.dumps(document),
        kafka_partition=number % 2,
        kafka_offset=number,
    )


def rewritten(event: RawEvent, **changes: Any) -> RawEvent:
    """The same event with other bytes."""
    return replace(event, event=json.dumps(json.loads(event.event) | changes))


EVENTS = [telemetry(number, minute=number / 10) for number in range(60)]


def roll(events: list[RawEvent]) -> list[tuple[Window, Rollup]]:
    """What a database without a fault would hold."""
    return [(window, summary(window.metric, readings)) for window, readings in recompute(events).items()]


def summary(metric: str, readings: list[float]) -> Rollup:
    unit = {"cpu_temp": "degC", "vibration_rms": "mm/s"}[metric]
    p50, p95 = (hundredth(readings, percent) for percent in (50, 95))
    return Rollup(unit, len(readings), fmean(readings), min(readings), max(readings), p50, p95, sum(readings))


def hundredth(readings: list[float], percent: int) -> float:
    # Of one reading, only later Pythons take quantiles.
    return quantiles(readings, n=100, method="inclusive")[percent - 1] if len(readings) > 1 else readings[0]


ROLLED = roll(EVENTS)


def differences(events: list[RawEvent], rollups: list[tuple[Window, Rollup]], until: datetime = CLOSED) -> list[str]:
    return find_differences(recompute(events), Numbers(until, rollups))


def test_nothing_differs_where_nothing_is_wrong() -> None:
    assert differences(EVENTS, ROLLED) == []
    resolutions = {window.resolution for window, _ in ROLLED}
    assert resolutions == {"1m", "1h", "1d"}


def test_the_order_of_rows_and_copies_of_rows_change_nothing() -> None:
    shuffled = [*EVENTS, *EVENTS]
    random.Random(3).shuffle(shuffled)
    assert differences(shuffled, ROLLED) == []


def at(resolution: str, device: str | None) -> int:
    return next(
        place
        for place, (window, _) in enumerate(ROLLED)
        if (window.resolution, window.device_id, window.metric) == (resolution, device, "cpu_temp")
    )


@pytest.mark.parametrize(("resolution", "device"), [("1m", "press-1"), ("1h", None)])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _: [], "missing: cpu_temp"),
        (lambda row: [row, row], "2 rows for cpu_temp"),
        (lambda row: [row, (row[0]._replace(metric="humidity"), row[1])], "extra: humidity"),
        (lambda row: [row, (row[0]._replace(fleet_id="other"), row[1])], "of other"),
        (lambda row: [(row[0], replace(row[1], unit="K"))], "unit is K"),
        (lambda row: [(row[0], replace(row[1], count=row[1].count + 1))], "count is"),
        (lambda row: [(row[0], replace(row[1], min=math.nextafter(row[1].min, 0)))], "min is"),
        (lambda row: [(row[0], replace(row[1], max=math.nextafter(row[1].max, 99)))], "max is"),
        (lambda row: [(row[0], replace(row[1], sum=row[1].sum * (1 + 1e-8)))], "sum is"),
        (lambda row: [(row[0], replace(row[1], avg=row[1].avg * (1 - 1e-8)))], "avg is"),
        (lambda row: [(row[0], replace(row[1], p50=row[1].p50 + 0.11))], "p50 is"),
        (lambda row: [(row[0], replace(row[1], p95=row[1].p95 - 0.11))], "p95 is"),
        (lambda row: [(row[0], replace(row[1], p95=float("nan")))], "p95 is nan"),
    ],
)
def test_one_rollup_that_is_lost_doubled_or_altered_is_found(
    change: Callable[[tuple[Window, Rollup]], list[tuple[Window, Rollup]]],
    says: str,
    resolution: str,
    device: str | None,
) -> None:
    place = at(resolution, device)
    altered = [*ROLLED[:place], *change(ROLLED[place]), *ROLLED[place + 1 :]]
    found = differences(EVENTS, altered)
    assert len(found) == 1
    assert says in found[0]
    assert resolution in found[0]


def test_a_percentile_may_be_off_by_the_sensors_step_in_an_hour_and_not_in_a_minute() -> None:
    def moved(resolution: str) -> list[str]:
        place = at(resolution, "press-0")
        window, rollup = ROLLED[place]
        altered = (window, replace(rollup, p50=rollup.p50 + 0.09))
        return differences(EVENTS, [*ROLLED[:place], altered, *ROLLED[place + 1 :]])

    assert moved("1h") == []
    assert [found for found in moved("1m") if "p50" in found]


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (EVENTS[1:], "count is"),
        ([*EVENTS, telemetry(60, minute=0.5)], "count is"),
        ([rewritten(EVENTS[0], metrics={"cpu_temp": 40.01, "vibration_rms": 2.0}), *EVENTS[1:]], "min is"),
        ([rewritten(EVENTS[0], timestamp="2026-01-31T12:59:00Z"), *EVENTS[1:]], "missing"),
        ([replace(EVENTS[0], device_id="press-7"), *EVENTS[1:]], "press-7"),
        ([replace(EVENTS[0], flags=("late_arrival",)), *EVENTS[1:]], "count is"),
        ([], "extra"),
    ],
    ids=["lost", "invented", "altered", "moved in time", "moved to another device", "late", "all lost"],
)
def test_one_event_that_is_lost_added_or_altered_is_found(events: list[RawEvent], says: str) -> None:
    assert any(says in found for found in differences(events, ROLLED))


def test_windows_that_are_not_closed_are_not_judged() -> None:
    half = HOUR + timedelta(minutes=3)
    rolled = [(window, rollup) for window, rollup in ROLLED if window.resolution == "1m" and window.start < half]
    assert differences(EVENTS, rolled, until=half) == []
    assert differences(EVENTS, rolled, until=half + timedelta(minutes=1)) != []
    assert differences(EVENTS, [], until=HOUR) == []


def test_the_first_copy_counts_regardless_of_later_ones() -> None:
    first = telemetry(1, cpu_temp=40.0)
    later = replace(rewritten(first, metrics={"cpu_temp": 90.0}), kafka_offset=9, event_id=first.event_id.upper())
    assert distinct([later, first]) == [first]
    other = replace(later, device_id="press-9")
    assert distinct([first, other]) == [first, other]


def test_ids_that_are_no_uuids_keep_their_case() -> None:
    one, other = replace(EVENTS[0], event_id="reading-A"), replace(EVENTS[0], event_id="reading-a", kafka_offset=9)
    assert distinct([one, other]) == [one, other]


def test_an_event_whose_clock_ran_ahead_counts_when_it_was_received() -> None:
    ahead = replace(telemetry(1, minute=50, cpu_temp=40.0), flags=("clock_ahead",), received_at=HOUR)
    retried = replace(telemetry(1, minute=50, cpu_temp=40.0), received_at=CLOSED, kafka_offset=2)
    assert {window.start for window in recompute([ahead, retried]) if window.resolution == "1m"} == {HOUR}


def test_only_what_a_version_declares_counts() -> None:
    events = [telemetry(1, version=1, cpu_temp=40, humidity=50), telemetry(2, version=2, cpu_temp=40, humidity=50)]
    devices = {(window.device_id, window.metric) for window in recompute(events) if window.device_id}
    assert devices == {("press-1", "cpu_temp"), ("press-0", "cpu_temp"), ("press-0", "humidity")}


def test_readings_are_said_in_the_unit_of_their_series() -> None:
    assert convert("temperature", 212, "degF") == pytest.approx(100)
    assert convert("temperature", 300, "K") == pytest.approx(26.85)
    assert convert("pressure", 2, "bar") == pytest.approx(200)
    assert convert("current", 3, "A") == 3
    document = {"event_time": HOUR.isoformat(), "sensor_type": "pressure", "value": 2, "unit": "bar"}
    reading = replace(EVENTS[0], contract="reading", event=json.dumps(document))
    assert {(window.metric, *readings) for window, readings in recompute([reading]).items()} == {("pressure", 200.0)}


def test_an_activity_has_no_numbers() -> None:
    document = {"type": "door_opened", "timestamp": HOUR.isoformat(), "source": "gate", "metrics": {"cpu_temp": 1}}
    assert recompute([replace(EVENTS[0], contract="activity", event=json.dumps(document))]) == {}


@pytest.mark.parametrize("size", [1, 2, 3, 20, 21, 100])
def test_percentiles_lie_between_the_two_ranks_around_them(size: int) -> None:
    draw = random.Random(size)
    readings = sorted(draw.gauss(50, 20) for _ in range(size))
    for percent in (50, 95):
        assert percentile(readings, percent / 100, None)[0] == pytest.approx(hundredth(readings, percent), rel=1e-12)


def test_what_a_percentile_may_be_off_by_grows_with_readings_a_million_steps_from_zero() -> None:
    assert percentile([10.0, 20.0], 0.5, 0.1)[1] == pytest.approx(0.1)
    assert percentile([1e15, 1e15], 0.5, 0.1)[1] == pytest.approx(1e12, rel=1e-3)
