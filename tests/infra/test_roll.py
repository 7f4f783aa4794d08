"""Roll runs without a pause, as itself, and somebody hears when windows close late."""

from dataclasses import replace

import pytest

from infra.profiles import BASELINE
from sluice.edge.settings import BrokerSettings, DatabaseSettings, RollSettings
from tests.infra.templates import Templates


def variables(templates: Templates) -> dict[str, str]:
    found: dict[str, str] = templates.functions()["roll"].properties["Environment"]["Variables"]
    # What is known at deployment only, and the region, which Lambda sets.
    return {name: value if isinstance(value, str) else "1" for name, value in found.items()} | {"AWS_REGION": "here"}


def test_its_settings_are_what_its_code_reads(templates: Templates) -> None:
    settings = RollSettings.from_environ(variables(templates))
    assert settings.raw_events_topic == "raw-events"
    assert DatabaseSettings.from_environ(variables(templates)).database_user == "sluice_roll"
    assert BrokerSettings.from_environ(variables(templates)).kafka_auth == "iam"


def test_it_allows_for_what_ingest_may_still_store(templates: Templates) -> None:
    ingest = templates.functions()["ingest"].properties["Environment"]["Variables"]
    settings = RollSettings.from_environ(variables(templates))
    assert settings.produce_deadline_seconds == float(ingest["PRODUCE_DEADLINE_SECONDS"])


def test_one_run_begins_before_the_last_is_over_wherever_minutes_are_real(templates: Templates) -> None:
    if templates.profile.name != "test":
        settings = RollSettings.from_environ(variables(templates))
        assert settings.roll_loop_seconds > 60
    concurrency = templates.functions()["roll"].properties["ReservedConcurrentExecutions"]
    assert concurrency == (8 if templates.profile.name == "large" else 2)


def test_a_transaction_is_given_up_before_the_function_is(templates: Templates) -> None:
    settings = RollSettings.from_environ(variables(templates))
    timeout = templates.functions()["roll"].properties["Timeout"]
    assert settings.roll_loop_seconds + 3 * settings.roll_answer_seconds < timeout


def test_somebody_hears_of_windows_that_close_late_or_cannot_be_mended(templates: Templates) -> None:
    behind = templates.alarms()["roll-behind"].properties
    assert behind["MetricName"] == "WatermarkAgeSeconds"
    assert behind["Dimensions"] == [{"Name": "service", "Value": "roll"}]
    assert behind["Statistic"] == "Maximum"
    assert templates.alarms()["roll-below-horizon"].properties["MetricName"] == "WindowsBelowHorizon"


def test_settings_that_could_not_work_are_refused() -> None:
    with pytest.raises(ValueError, match="must be able to say how far it came"):
        replace(BASELINE.roll, answer_seconds=60)
    with pytest.raises(ValueError, match="must find a place"):
        replace(BASELINE.roll, loop_seconds=120)
    with pytest.raises(ValueError, match="an hour that just closed"):
        replace(BASELINE.roll, hour_seconds=4000)
    with pytest.raises(ValueError, match="gives up a second before"):
        replace(BASELINE.roll, answer_seconds=1)
