"""Burn rates: how much has to fail within which time, for devices and for people, and what counts as a failure."""

from typing import Any

import pytest

from infra.watch.severity import OUTAGES
from local.models.expressions import Expression
from tests.infra.templates import Templates

HOUR, DAY = 3600, 24 * 3600
WINDOWS = {"1h": (HOUR, 14.4), "5m": (300, 14.4), "6h": (6 * HOUR, 6), "30m": (1800, 6), "3d": (DAY, 1)}


def alarm(templates: Templates, name: str) -> dict[str, Any]:
    return templates.alarms()[f"slo-{name}"].properties


def rate(templates: Templates, name: str, **values: float) -> float | None:
    """Compute what an alarm compares with its bound; what is not given has no value."""
    metrics = alarm(templates, name)["Metrics"]
    (expression,) = [each["Expression"] for each in metrics if "Expression" in each]
    names = [each["Id"] for each in metrics if "MetricStat" in each]
    assert values.keys() <= set(names)
    return Expression(expression, names).compute({each: values.get(each) for each in names})


@pytest.mark.parametrize("of", ["devices", "people"])
@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_has_its_length_and_its_rate(templates: Templates, of: str, window: str) -> None:
    found = alarm(templates, f"{of}-{window}")
    seconds, bound = WINDOWS[window]
    assert {each["MetricStat"]["Period"] for each in found["Metrics"] if "MetricStat" in each} == {seconds}
    assert found["Threshold"] == bound
    # AWS takes ten metrics at most, and seven days.
    assert len(found["Metrics"]) <= 1 + 10
    assert found["EvaluationPeriods"] == (3 if window == "3d" else 1)
    assert ("AlarmActions" in found) == (window == "3d")


@pytest.mark.parametrize("of", ["devices", "people"])
def test_two_windows_of_one_rate_page_together(of: str) -> None:
    (outage,) = [outage for outage in OUTAGES if outage.name == f"outage-{of}"]
    pairs = [sign for sign in outage.signs if isinstance(sign, tuple)]
    assert pairs == [(f"slo-{of}-1h", f"slo-{of}-5m"), (f"slo-{of}-6h", f"slo-{of}-30m")]


@pytest.mark.parametrize("templates", ["baseline"], indirect=True)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"stored": 9856, "unstored": 144, "runs": 1000}, 14.4),
        ({"stored": 9000, "rejected": 856, "unstored": 144, "runs": 1000}, 14.4),
        ({"stored": 10_000, "runs": 10_000, "errors": 144}, 14.4),
        ({"stored": 10_000, "runs": 9_856, "throttles": 144}, 14.4),
        # The worse of both.
        ({"stored": 990, "unstored": 10, "runs": 1000, "errors": 6}, 10),
        ({"stored": 994, "unstored": 6, "runs": 1000, "errors": 10}, 10),
        # Everything fails, and nothing happens.
        ({"unstored": 1000, "runs": 100}, 1000),
        ({"throttles": 100}, 1000),
        ({}, 0),
        # Few failures are no rate: a quiet stage has an event of probe a minute.
        ({"stored": 55, "unstored": 5, "runs": 60}, 0),
        ({"stored": 54, "unstored": 6, "runs": 60}, 100),
        ({"stored": 60, "runs": 60, "errors": 3, "throttles": 2}, 0),
        ({"unstored": 6}, 1000),
    ],
)
def test_devices_fail_by_requests_or_events(templates: Templates, values: dict[str, float], expected: float) -> None:
    assert rate(templates, "devices-1h", **values) == pytest.approx(expected)


@pytest.mark.parametrize("templates", ["baseline"], indirect=True)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"failed": 144, "requests": 10_000}, 14.4),
        # What ingest does is not counted to people.
        ({"failed": 244, "requests": 110_000, "runs": 99_950, "throttles": 50, "errors": 50}, 14.4),
        ({"failed": 100, "requests": 10_000, "runs": 9_000, "errors": 100}, 0),
        # Few failures are no rate.
        ({"failed": 5, "requests": 10}, 0),
        ({"failed": 6, "requests": 10}, 600),
        ({"requests": 10}, 0),
        ({}, 0),
    ],
)
def test_people_fail_by_all_other_requests(templates: Templates, values: dict[str, float], expected: float) -> None:
    assert rate(templates, "people-1h", **values) == pytest.approx(expected)


@pytest.mark.parametrize("templates", ["baseline"], indirect=True)
def test_requests_that_no_function_saw_count_once_there_are_many(templates: Templates) -> None:
    seen = {"ingest": 3000.0, "query": 500.0, "trace": 100.0, "show": 100.0, "admin": 100.0}
    assert rate(templates, "unseen", requests=5000, **seen) == pytest.approx(24)
    assert rate(templates, "unseen", requests=4000, ingest=4000) == 0
    assert rate(templates, "unseen", requests=3000) == 0
