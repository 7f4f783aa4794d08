"""What attend does with a batch of its queue and with a schedule's event, and after how long it escalates."""

from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from functions.attend import handler
from sluice.core.alerts.steps import Step
from sluice.core.errors import Retryable
from sluice.core.notify.destinations import Destination
from sluice.edge.published import Believed

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of no service."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    for name in ("HOST", "PORT", "NAME", "USER"):
        monkeypatch.setenv(f"DATABASE_{name}", "1")
    monkeypatch.setenv("DATABASE_AUTH", "none")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


class Context:
    """An invocation with some time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Steps:
    """What is published of the destinations, or nothing."""

    def __init__(self, *after: int) -> None:
        self.after = tuple(Step(after_minutes=each) for each in after)

    def find(self, now: datetime) -> Believed[tuple[Step, ...]]:
        assert now.tzinfo is not None
        if not self.after:
            raise Retryable("no destinations are published")
        return Believed(self.after)


class Settings:
    """What the handler needs of its settings here."""

    sluice_stage = "test"
    dashboard_address = "https://page"
    attend_statement_seconds = 10.0
    attend_reserve_seconds = 25.0


def destination(after: int) -> Destination:
    return Destination(
        destination_id=f"d-{after}", version=1, fleet_id=None, kind="https", secret="s", after_minutes=after
    )


def test_each_time_after_which_someone_wants_to_be_told_is_a_step_of_its_fleet_and_severity() -> None:
    of_fleet = msgspec.structs.replace(destination(5), fleet_id="fleet-1", least_severity="critical")
    assert set(handler.list_steps([*(destination(after) for after in (0, 30, 5, 30)), of_fleet])) == {
        Step(after_minutes=30, least_severity="warning"),
        Step(after_minutes=5, least_severity="warning"),
        Step(after_minutes=5, fleet_id="fleet-1", least_severity="critical"),
    }


def test_without_destinations_no_one_is_escalated_to() -> None:
    assert handler.find_steps(cast("handler.Steps", Steps()), NOW) == ()
    assert handler.find_steps(cast("handler.Steps", Steps(5, 30)), NOW) == Steps(5, 30).after


def test_reports_of_the_queue_are_stored_and_everything_else_is_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []

    class Attending:
        def __init__(self, *given: Any) -> None:
            done.append(given[4])

        def run(self, now: datetime) -> None:
            done.append(now.tzinfo)

    def record(_database: object, event: dict[str, Any]) -> dict[str, Any]:
        done.append(event["Records"])
        return {"batchItemFailures": []}

    monkeypatch.setattr(handler, "build", lambda: (Settings(), None, None, Steps(5)))
    monkeypatch.setattr(handler, "Attending", Attending)
    monkeypatch.setattr(handler, "record_attempts", record)
    answer = handler.handler.__wrapped__({"Records": [1]}, Context())  # type: ignore[attr-defined]  # a decorator's
    assert answer == {"batchItemFailures": []}
    assert done == [[1]]
    assert handler.handler.__wrapped__({}, Context()) == {}  # type: ignore[attr-defined]
    assert done[1:] == [Steps(5).after, UTC]
