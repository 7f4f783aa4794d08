"""redrive reads dead letters and changes none of them, and a run has time for the object that it begins."""

import json
from dataclasses import replace
from typing import Any

import pytest

from infra.functions.redrive import OBJECT_SECONDS
from infra.profiles.baseline import BASELINE
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


@pytest.mark.parametrize("wrong", [{"per_second": 0}, {"reserve_seconds": 300}, {"reserve_seconds": 60}])
def test_a_profile_that_could_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"redrive|re-drive"):
        replace(BASELINE.redrive, **wrong)
