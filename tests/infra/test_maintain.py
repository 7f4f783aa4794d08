"""Maintain's retention terms lose nothing, and an alarm fires when it does not run."""

from datetime import timedelta

from functions.maintain.handler import terms_of
from infra.deployment import HOUR
from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from sluice.core.limits import Limits
from sluice.edge.settings import MaintainSettings
from tests.infra.templates import Templates


def test_samples_stay_for_longer_than_an_event_can_be_under_way(templates: Templates) -> None:
    under_way = timedelta(seconds=CONSUMER_RECORD_AGE_SECONDS) + Limits().late
    terms = terms_of(templates.settings("maintain", MaintainSettings))
    assert terms.sample > 2 * under_way
    # A whole UTC day can be looked at, and computed again, after it is over.
    assert terms.sample > timedelta(days=1)
    assert terms.waiting_sample >= terms.sample


def test_partitions_outlast_a_missed_run_until_an_operator_reacts(templates: Templates) -> None:
    alarm = templates.alarms()["maintain-not-run"].properties
    period = alarm["Metrics"][1]["MetricStat"]["Period"]
    heard = timedelta(seconds=alarm["EvaluationPeriods"] * period)
    ahead = templates.settings("maintain", MaintainSettings).partitions_ahead_hours
    assert timedelta(hours=ahead) > heard + timedelta(hours=24)


def test_a_statement_is_cancelled_before_the_function_is(templates: Templates) -> None:
    settings = templates.settings("maintain", MaintainSettings)
    timeout = templates.functions()["maintain"].properties["Timeout"]
    assert settings.lock_seconds < settings.statement_seconds < timeout


def test_an_alarm_fires_when_samples_pile_up(templates: Templates) -> None:
    settings = templates.settings("maintain", MaintainSettings)
    threshold = templates.alarms()["maintain-waiting"].properties["Threshold"] / HOUR
    # Not by an hour that is not full yet, and long before samples are dropped without a roll.
    assert settings.sample_hours + 1 < threshold < settings.waiting_sample_hours - 24
