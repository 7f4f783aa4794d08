"""A backtest opens the incidents that detect and alert would have opened live, with one reading a minute."""

import random
from datetime import timedelta
from typing import Any

import pytest

from sluice.core.alerts.limits import COOL_DOWN, TOGETHER, UNHEARD
from tests.support.backtests import DAY, MINUTE, START, Live, Values, backtest, make_history, make_rule, tell

HOT, WARM, COOL = 90.0, 78.0, 70.0


def wander(seed: int, minutes: int) -> list[float | None]:
    """Make readings that stay around the threshold for a while, go away, and stop now and then."""
    draw = random.Random(seed)
    values: list[float | None] = []
    while len(values) < minutes:
        level, lasts = draw.choice([60.0, 70.0, 74.0, 79.0, 82.0]), draw.choice([3, 10, 40, 200])
        silent = draw.random() < 0.1
        values += [None if silent else round(draw.gauss(level, 4), 1) for _ in range(lasts)]
    return values[:minutes]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"breaches": 1, "of": 1},
        {"breaches": 4, "of": 10, "clear": 80.0},
        {"kind": "below", "open": 65.0, "clear": 68.0},
    ],
    ids=["2 of 3", "1 of 1", "4 of 10", "below"],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_incidents_are_those_of_detect_and_alert(seed: int, changed: dict[str, Any]) -> None:
    rule, minutes = make_rule(**changed), 2 * 1440
    devices = {f"device-{number}": wander(100 * seed + number, minutes) for number in range(3)}
    live = Live(rule)
    live.run(devices, minutes)
    opened = backtest(rule, [make_history(values, name) for name, values in devices.items()], START + minutes * MINUTE)
    expected = sorted(map(tell, live.incidents.values()), key=repr)
    assert expected, "this series has no incident to compare"
    assert sorted((tell(one.incident) for one in opened), key=repr) == expected


def test_what_detect_does_not_report_is_not_among_the_latest_readings() -> None:
    # A reading each ten minutes: two clear ones follow a breach, and detect reports the first of them alone.
    values: list[float | None] = [None] * 100
    values[0:40:10] = [HOT, COOL, COOL, HOT]
    live = Live(make_rule())
    live.run({"device-1": values}, len(values))
    opened = backtest(make_rule(), [make_history(values)], START + DAY)
    assert [one.incident.opened_at for one in opened] == [START + 30 * MINUTE]
    assert [tell(each)[0] for each in live.incidents.values()] == [START + 30 * MINUTE]


def test_an_incident_says_with_which_reading_it_opened_and_why() -> None:
    (opened,) = backtest(make_rule(), [make_history([COOL, HOT, HOT, HOT, COOL, COOL, COOL])], START + DAY)
    assert (opened.incident.opened_at, opened.device_id, opened.value) == (START + 2 * MINUTE, "device-1", HOT)
    assert opened.why == "90 degC is above the threshold of 80 degC"
    assert opened.incident.resolved_at == START + 6 * MINUTE


def test_devices_that_fire_together_share_an_incident_and_later_ones_do_not() -> None:
    def fires_at(minute: int) -> Values:
        return [COOL] * minute + [HOT] * 3 + [COOL] * 30

    late = TOGETHER // MINUTE + 1
    opened = backtest(
        make_rule(),
        [make_history(fires_at(minute), f"device-{minute}") for minute in (0, 4, 4 + late)],
        START + DAY,
    )
    assert [sorted(one.incident.examples) for one in opened] == [["device-0", "device-4"], [f"device-{4 + late}"]]


def test_a_device_that_fires_again_soon_has_one_incident_and_later_has_two() -> None:
    hour = COOL_DOWN // MINUTE
    burst, rest = [HOT] * 3, [COOL] * hour
    again = backtest(make_rule(), [make_history([*burst, *rest[:30], *burst, *rest, *rest])], START + DAY)
    assert [one.incident.reopened for one in again] == [1]
    later = backtest(make_rule(), [make_history([*burst, *rest, *rest, *burst, *rest])], START + DAY)
    assert [one.incident.reopened for one in later] == [0, 0]


def test_a_device_that_stops_sending_ends_its_incident_after_a_day() -> None:
    (opened,) = backtest(make_rule(), [make_history([HOT] * 5)], START + 2 * DAY)
    assert opened.incident.resolution == "unheard"
    assert opened.incident.resolved_at is not None
    assert opened.incident.resolved_at - START > UNHEARD
    (still,) = backtest(make_rule(), [make_history([HOT] * 5)], START + timedelta(hours=20))
    assert still.incident.resolved_at is None
