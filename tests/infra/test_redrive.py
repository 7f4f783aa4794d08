"""redrive reads dead letters and changes none of them, and a run has time for the object that it begins."""

import json
from dataclasses import replace
from typing import Any

import pytest

from infra.functions.redrive import OBJECT_SECONDS
from infra.profiles.baseline import BASELINE
from sluice.core.ledger.statement import SETTLED
from sluice.core.metrics import REDRIVE_STANDSTILL, REDRIVES_FAILED
from sluice.edge.settings import RedriveSettings
from tests.infra.templates import Templates


def test_it_reads_dead_letters_and_writes_nothing_to_s3(templates: Templates) -> None:
    granted = {
        action: json.dumps(statement["Resource"])
        for statement in templates.statements("redrive")
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        if action.startswith("s3:")
    }
    assert set(granted) == {"s3:GetObject", "s3:ListBucket"}
    assert all("DeadLetter" in place for place in granted.values())


def test_a_run_has_time_for_an_object_and_letters_for_as_long_as_s3_keeps_them(templates: Templates) -> None:
    settings = templates.settings("redrive", RedriveSettings)
    assert OBJECT_SECONDS < settings.reserve_seconds < templates.functions()["redrive"].properties["Timeout"]
    assert settings.dead_letter_days == 30
    # A full batch of deadletter, at the bounded rate.
    assert 10_000 / settings.redrive_per_second < OBJECT_SECONDS


def test_a_redrive_that_fails_or_stands_still_raises_an_alarm(templates: Templates) -> None:
    alarms = {name: alarm.properties for name, alarm in templates.alarms().items()}
    failed, standstill = (alarms[f"redrive-{name}"] for name in ("failed", "standstill"))
    assert (failed["MetricName"], failed["Threshold"]) == (REDRIVES_FAILED.name, 0)
    # Long enough for archive's files, and before a re-drive ends as failed.
    assert standstill["MetricName"] == REDRIVE_STANDSTILL.name
    assert 3600 < standstill["Threshold"] < SETTLED.total_seconds()
    # A question that is throttled is an error of the admin API.
    assert "redrive-throttles" in alarms


@pytest.mark.parametrize("wrong", [{"per_second": 0}, {"reserve_seconds": 300}, {"reserve_seconds": 60}])
def test_a_profile_that_could_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"redrive|re-drive"):
        replace(BASELINE.redrive, **wrong)
