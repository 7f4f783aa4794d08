"""Maintain runs every hour as itself, with terms that lose nothing, and somebody hears when it does not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.maintain.handler import terms_of
from infra.profiles import BASELINE
from infra.settings import CONSUMER_RECORD_AGE_SECONDS, HOUR, LATE_SECONDS
from sluice.core.limits import Limits
from sluice.edge.settings import MaintainSettings
from tests.infra.templates import Templates


def variables(templates: Templates) -> dict[str, str]:
    found: dict[str, str] = templates.functions()["maintain"].properties["Environment"]["Variables"]
    return found


def settings(templates: Templates) -> MaintainSettings:
    """The settings as the function reads them."""
    return MaintainSettings.from_environ({k: v for k, v in variables(templates).items() if isinstance(v, str)})


def test_samples_stay_for_longer_than_an_event_can_be_under_way(templates: Templates) -> None:
    assert Limits().late.total_seconds() == LATE_SECONDS
    under_way = timedelta(seconds=CONSUMER_RECORD_AGE_SECONDS + LATE_SECONDS)
    terms = terms_of(settings(templates))
    assert terms.sample > 2 * under_way
    # A whole UTC day can be looked at, and computed again, after it is over.
    assert terms.sample > timedelta(days=1)
    assert terms.waiting_sample >= terms.sample


def test_partitions_outlast_a_run_that_is_missed_until_somebody_is_there(templates: Templates) -> None:
    alarm = templates.alarms()["maintain-not-run"].properties
    period = alarm["Metrics"][1]["MetricStat"]["Period"]
    heard = timedelta(seconds=alarm["EvaluationPeriods"] * period)
    assert timedelta(hours=settings(templates).partitions_ahead_hours) > heard + timedelta(hours=24)


def test_a_statement_is_cancelled_before_the_function_is(templates: Templates) -> None:
    timeout = templates.functions()["maintain"].properties["Timeout"]
    assert settings(templates).lock_seconds < settings(templates).statement_seconds < timeout


def test_one_run_at_a_time(templates: Templates) -> None:
    assert templates.functions()["maintain"].properties["ReservedConcurrentExecutions"] == 1


def test_it_logs_in_as_the_role_that_owns_nothing(templates: Templates) -> None:
    assert variables(templates)["DATABASE_USER"] == "sluice_maintain"
    assert "DATABASE_SECRET_ARN" not in variables(templates)


def test_somebody_hears_when_samples_pile_up(templates: Templates) -> None:
    waiting = templates.alarms()["maintain-waiting"].properties
    assert waiting["MetricName"] == "SampleAge"
    now = settings(templates)
    # Not by an hour that is not full yet, and long before they go although nobody has rolled them.
    assert now.sample_hours + 1 < waiting["Threshold"] / HOUR < now.waiting_sample_hours - 24
    assert templates.alarms()["maintain-overdue"].properties["MetricName"] == "PartitionsOverdue"


def test_terms_that_would_lose_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="outlive the oldest event"):
        replace(BASELINE.maintain, sample_hours=10)
    with pytest.raises(ValueError, match="longer, not shorter"):
        replace(BASELINE.maintain, waiting_sample_hours=20)
    with pytest.raises(ValueError, match="longer than it takes to notice"):
        replace(BASELINE.maintain, partitions_ahead_hours=6)
    with pytest.raises(ValueError, match="vacuum"):
        replace(BASELINE.maintain, lock_seconds=1)
