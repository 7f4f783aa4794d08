"""The model of EventBridge Scheduler, in front of the model of Lambda."""

import json
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import overrides
from local.models.config import FunctionConfig, LambdasConfig, ScheduleConfig, SchedulerConfig
from local.resources import resolve
from local.resources.configure import scheduler as configure
from local.template import Assembly, TemplateError
from tests.local.model_process import ModelProcess, running
from tests.local.test_resources import services

HANDLER = """
import os, pathlib, time

HOME = pathlib.Path(os.environ["HOME_DIRECTORY"])

def handler(event, context):
    with (HOME / os.environ["WHO"]).open("a") as seen:
        seen.write("run\\n")
    if os.environ["WHO"] == "fails":
        raise ValueError("no good")
    if os.environ["WHO"] == "slow":
        time.sleep(30)
"""
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
OFTEN = 0.3
FUNCTIONS = {"often": 5, "fails": 5, "slow": 2, "off": 1, "rare": 1}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scheduler")


@pytest.fixture(scope="module")
def scheduler(directory: Path) -> Iterator[ModelProcess]:
    (directory / "code").mkdir()
    (directory / "code" / "handler.py").write_text(HANDLER)
    functions = [
        FunctionConfig(
            name=name,
            arn=f"{ARN}{name}",
            handler="handler.handler",
            runtime="python3.13",
            directory=str(directory / "code"),
            memory_mb=128,
            timeout_seconds=60,
            concurrency=concurrency,
            workers=2,
            environment={"HOME_DIRECTORY": str(directory), "WHO": name},
        )
        for name, concurrency in FUNCTIONS.items()
    ]
    lambdas = LambdasConfig(
        region="us-east-1", python=sys.executable, directory=str(directory / "state"), functions=functions
    )
    with running("lambdas", lambdas, directory) as model:
        schedules = [
            ScheduleConfig(
                name=name,
                enabled=name != "off",
                function_arn=f"{ARN}{name}",
                every_seconds=3600 if name == "rare" else OFTEN,
            )
            for name in FUNCTIONS
        ]
        schedules.append(ScheduleConfig("gone", enabled=True, function_arn=f"{ARN}gone", every_seconds=OFTEN))
        with running("scheduler", SchedulerConfig(lambdas=model.url, schedules=schedules), directory) as started:
            yield started


def counts(scheduler: ModelProcess) -> dict[str, dict[str, int]]:
    with urllib.request.urlopen(f"{scheduler.url}/_model/schedules", timeout=30) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
    return found


def eventually(scheduler: ModelProcess, name: str, what: str, least: int) -> dict[str, int]:
    """The counts of a schedule as soon as one of them is high enough."""
    deadline = time.monotonic() + 60
    while (found := counts(scheduler)[name]).get(what, 0) < least:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def runs(directory: Path, name: str) -> int:
    seen = directory / name
    return seen.read_text().count("run") if seen.exists() else 0


def test_a_function_is_started_at_once_and_again_each_period(scheduler: ModelProcess, directory: Path) -> None:
    eventually(scheduler, "often", "started", 5)
    eventually(scheduler, "rare", "started", 1)
    deadline = time.monotonic() + 60
    while runs(directory, "often") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert counts(scheduler)["rare"] == {"started": 1}


def test_a_schedule_that_is_not_enabled_starts_nothing(scheduler: ModelProcess, directory: Path) -> None:
    eventually(scheduler, "often", "started", 5)
    assert "off" not in counts(scheduler)
    assert runs(directory, "off") == 0


def test_a_run_that_fails_is_not_repeated_and_the_next_one_comes(scheduler: ModelProcess, directory: Path) -> None:
    found = eventually(scheduler, "fails", "failed", 3)
    # Those that run just now have been started and have not failed yet.
    assert found["failed"] <= runs(directory, "fails") <= counts(scheduler)["fails"]["started"]


def test_slow_runs_lie_beside_each_other_as_far_as_concurrency_allows(scheduler: ModelProcess, directory: Path) -> None:
    eventually(scheduler, "slow", "missed", 2)
    assert runs(directory, "slow") == FUNCTIONS["slow"]


def test_a_function_that_is_not_there_is_a_missed_run(scheduler: ModelProcess) -> None:
    assert eventually(scheduler, "gone", "missed", 2)


def test_runs_that_fell_due_while_it_stood_still_are_made_up_for_by_one(scheduler: ModelProcess) -> None:
    began = time.monotonic()
    before = eventually(scheduler, "often", "started", 1)["started"]
    scheduler.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    time.sleep(20 * OFTEN)
    still = time.monotonic() - stopped
    scheduler.process.send_signal(signal.SIGCONT)
    after = eventually(scheduler, "often", "started", before + 1)["started"]
    # The late one, and those that were due while it ran.
    assert after - before <= 1 + (time.monotonic() - began - still) / OFTEN + 1


def test_the_templates_schedules_are_read_at_the_stacks_own_pace(tmp_path: Path) -> None:
    def template(expression: str) -> Any:
        function = {"FunctionName": "f", "Runtime": "python3.13"}
        schedule = {
            "ScheduleExpression": expression,
            "State": "ENABLED",
            "Target": {"Arn": {"Fn::GetAtt": ["Function", "Arn"]}},
        }
        return {
            "Resources": {
                "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
                "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": schedule},
            }
        }

    def configured(expression: str) -> SchedulerConfig:
        return configure(resolve(Assembly.of({"one": template(expression)}), services(tmp_path)))

    for expression, minutes in (("rate(1 minute)", 1), ("rate(2 hours)", 120), ("rate(1 day)", 1440)):
        (schedule,) = configured(expression).schedules
        assert schedule.every_seconds == minutes * overrides.MINUTE_SECONDS
        assert (schedule.enabled, schedule.function_arn) == (True, f"{ARN}f")
    with pytest.raises(TemplateError, match="only rates are modelled"):
        configured("cron(0 12 * * ? *)")
