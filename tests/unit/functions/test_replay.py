"""replay does the step that it is asked for, and answers refusals with their status instead of failing."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from functions.replay.handler import work
from sluice.core.errors import Refusal, Retryable
from sluice.core.replay.plan import VALID, Expected, Files, Plan, PlanRefusedError, Span, Wanted, describe, seal
from sluice.core.times import write_time

HOURS = Span("2026-11-20T08:00:00.000000Z", "2026-11-20T09:00:00.000000Z")
WANTED = {"fleet_id": "demo", "from": "2026-11-20T08:00:00Z", "to": "2026-11-20T09:00:00Z"}


def plan(age: timedelta = timedelta(0), **changed: Any) -> Plan:
    """A plan as it was made some time ago."""
    made = Plan(
        version=1,
        stage="prod",
        region="eu-central-1",
        made_at=write_time(datetime.now(UTC) - age),
        fleet_id="demo",
        device_ids=None,
        include_late=False,
        reprocess=False,
        asked=HOURS,
        hours=HOURS,
        widened=(),
        files=Files(1, 1, "d"),
        expected=Expected(1, 0, 0, 0, 1),
        warnings=(),
    )
    return seal(msgspec.structs.replace(made, **changed))


class World:
    """The planning, the tables and the steps behind replay, and what they were asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.raising: Exception | None = None
        self.claimed = False

    def make(self, connection: object, wanted: Wanted) -> Plan:
        assert connection == "a connection"
        self._note(wanted)
        return plan()

    def check(self, connection: object, given: Plan) -> None:
        assert connection == "a connection"
        self._note(("files", given.hash))

    def find_claim(self, given: Plan) -> Plan | None:
        return given if self.claimed else None

    def check_overlap(self, given: Plan) -> None:
        self._note(("overlap", given.hash))

    def sweep(self) -> dict[str, Any]:
        self._note("sweep")
        return {"swept": []}

    def drain(self, event: dict[str, Any]) -> dict[str, Any]:
        self._note(event)
        return {"replay_number": 7, "next": "swap"}

    def ask(self, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke, with an event and an answer that pass through JSON."""
        machine: Any = SimpleNamespace(planning=self, stage="prod", region="eu-central-1")
        tables: Any = SimpleNamespace(
            connection="a connection", find_claim=self.find_claim, check_overlap=self.check_overlap
        )
        steps: Any = self
        answer: dict[str, Any] = json.loads(json.dumps(work(json.loads(json.dumps(event)), machine, tables, steps)))
        return answer

    def _note(self, what: Any) -> None:
        self.asked.append(what)
        if self.raising is not None:
            raise self.raising


@pytest.fixture
def world() -> World:
    return World()


def test_without_a_step_stopped_executions_are_swept(world: World) -> None:
    assert world.ask({}) == {"swept": []}
    assert world.asked == ["sweep"]


def test_a_step_of_the_machine_is_done_with_what_it_is_given(world: World) -> None:
    event = {"step": "drain", "replay_number": 7}
    assert world.ask(event) == {"replay_number": 7, "next": "swap"}
    assert world.asked == [event]


def test_a_step_that_fails_fails_for_the_machine_to_retry(world: World) -> None:
    world.raising = Retryable("the brokers are away")
    with pytest.raises(Retryable):
        world.ask({"step": "drain", "replay_number": 7})


def test_a_plan_that_is_made_is_answered_as_a_document(world: World) -> None:
    made = world.ask({"step": "plan", "wanted": WANTED})["result"]
    assert (made["fleet_id"], made["hours"]) == ("demo", {"from": HOURS.from_, "to": HOURS.to})
    assert [wanted.fleet_id for wanted in world.asked] == ["demo"]


def test_a_plan_that_is_refused_is_answered_with_its_status(world: World) -> None:
    world.raising = Refusal(409, "range_empty", "nothing is there")
    refused = {"status": 409, "code": "range_empty", "detail": "nothing is there"}
    assert world.ask({"step": "plan", "wanted": WANTED}) == {"refused": refused}
    refused = world.ask({"step": "plan", "wanted": WANTED | {"days": 3}})["refused"]
    assert (refused["status"], refused["code"]) == (400, "invalid_body")


def test_a_plan_is_checked_for_its_files_and_for_others_in_the_same_hours(world: World) -> None:
    given = plan()
    checked = world.ask({"step": "check", "plan": describe(given)})
    assert checked == {"result": {"replay_id": given.replay_id, "applied": False}}
    assert world.asked == [("files", given.hash), ("overlap", given.hash)]


def test_a_plan_that_is_applied_already_is_not_held_against_its_own_replay(world: World) -> None:
    world.claimed = True
    assert world.ask({"step": "check", "plan": describe(plan())})["result"]["applied"] is True
    assert world.asked == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (describe(plan()) | {"include_late": True}, "plan_altered"),
        (describe(plan()) | {"version": 9}, "invalid_plan"),
        (describe(plan(stage="dev")), "plan_of_another_stage"),
        (describe(plan(region="us-east-1")), "plan_of_another_stage"),
        (describe(plan(age=VALID + timedelta(minutes=1))), "plan_expired"),
    ],
)
def test_a_plan_that_cannot_be_applied_is_refused_before_anything_is_read(
    world: World, given: dict[str, Any], code: str
) -> None:
    refused = world.ask({"step": "check", "plan": given})["refused"]
    assert (refused["status"], refused["code"]) == (409, code)
    assert world.asked == []


def test_what_its_files_or_another_replay_forbid_is_answered_with_its_code(world: World) -> None:
    world.raising = PlanRefusedError("plan_outdated", "a file has changed")
    refused = world.ask({"step": "check", "plan": describe(plan())})["refused"]
    assert refused == {"status": 409, "code": "plan_outdated", "detail": "a file has changed"}
