"""The state machine of a replay goes where its steps send it, tries again what may work, and ends what cannot."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from infra.workflows.replay import FOR_GOOD
from sluice.core.replay.plan import VALID
from sluice.edge.replay import steps
from sluice.edge.replay.planning import LISTS
from tests.infra.templates import Templates, listed

LONGEST_OUTAGE_SECONDS = 300
"""A database that fails over, or brokers that elect leaders, are back by then."""

States = Mapping[str, Any]


@pytest.fixture
def states(templates: Templates) -> States:
    return dict(_read(templates)["States"])


def _read(templates: Templates) -> dict[str, Any]:
    machine = templates.only("AWS::StepFunctions::StateMachine")
    parts = machine.properties["DefinitionString"]["Fn::Join"][1]
    definition: dict[str, Any] = json.loads("".join(part if isinstance(part, str) else _name(part) for part in parts))
    return definition


def _name(reference: dict[str, Any]) -> str:
    ((_, held),) = reference.items()
    return ".".join(listed(held))


def _tasks(states: States) -> dict[str, Any]:
    """Every task, also those within a map."""
    found = {name: state for name, state in states.items() if state["Type"] == "Task"}
    for state in states.values():
        found |= _tasks(state.get("ItemProcessor", {}).get("States", {}))
    return found


def _following(states: States) -> dict[str, str]:
    """By what a step answers as next: the state that follows, where nothing has to be waited for."""
    return {
        choice["StringEquals"]: choice["Next"]
        for choice in states["What is next"]["Choices"]
        if choice.get("Variable") == "$.next"
    }


def _waiting(states: States) -> dict[str, str]:
    """Likewise, where something has to be waited for."""
    found = {}
    for choice in states["What is next"]["Choices"]:
        if "And" in choice:
            asked, present = choice["And"]
            assert (asked["Variable"], present) == ("$.next", {"Variable": "$.waits_for", "IsPresent": True})
            found[asked["StringEquals"]] = choice["Next"]
    return found


def test_every_step_that_an_answer_can_name_has_a_branch_to_its_state(states: States) -> None:
    following = _following(states)
    assert set(following) == set(steps._NEXT.values())
    for step, name in following.items():
        if states[name]["Type"] == "Task":
            assert states[name]["Parameters"]["step"] == step
            assert hasattr(steps.Steps, step)
    assert states[following["resend"]]["Type"] == "Map"
    # Done, cancelled, failed and already applied: the execution ends.
    assert states[states["What is next"]["Default"]]["Type"] == "Succeed"


def test_every_step_asks_what_is_next(states: States) -> None:
    for name, state in states.items():
        if state["Type"] == "Task" and name != "Fail":
            assert state["Next"] == "What is next", name
    assert states["Resend"]["Next"] == "Drain"
    assert states[states["Fail"]["Next"]]["Type"] == "Fail"


def test_what_waits_for_others_is_asked_again_after_a_while(states: States, templates: Templates) -> None:
    waiting = _waiting(states)
    assert set(waiting) == {"gather", "drain", "swap", "verify"}
    for step, name in waiting.items():
        assert states[name]["Seconds"] == templates.profile.replay.wait_seconds
        assert states[name]["Next"] == _following(states)[step]
    # The first rule that fits decides: the ones that wait come first.
    kinds = ["And" in choice for choice in states["What is next"]["Choices"]]
    assert kinds == sorted(kinds, reverse=True)


def test_every_task_is_tried_again_for_as_long_as_an_outage_takes(states: States) -> None:
    tasks = _tasks(states)
    assert "Send a chunk" in tasks
    for name, task in tasks.items():
        never, again = task["Retry"]
        assert (never["ErrorEquals"], never["MaxAttempts"]) == (list(FOR_GOOD), 0), name
        assert again["ErrorEquals"] == ["States.ALL"], name
        assert sum(_waits(again)) > LONGEST_OUTAGE_SECONDS, name


def _waits(retry: Mapping[str, Any]) -> Iterator[float]:
    for attempt in range(retry["MaxAttempts"]):
        yield min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"])


def test_errors_for_good_are_those_that_steps_raise_and_have_their_names_in_lambda() -> None:
    for name in FOR_GOOD:
        # Lambda reports an error by the name of its class.
        assert issubclass(getattr(steps, name), Exception), name


def test_a_step_that_fails_after_the_claim_ends_its_replay(states: States) -> None:
    for name, state in states.items():
        caught = {error: catch["Next"] for catch in state.get("Catch", ()) for error in catch["ErrorEquals"]}
        if name in ("Claim", "Cancel", "Fail"):
            # Before the claim there is no replay; the schedule ends those whose own end has failed.
            assert caught == {}, name
        elif state["Type"] in ("Task", "Map"):
            assert caught["States.ALL"] == "Fail", name
            assert state["Catch"][-1]["ResultPath"] == "$.error", name
    assert states["Fail"]["Parameters"]["error.$"] == "$.error"


def test_chunks_that_were_not_sent_are_sent_by_the_map_again(states: States) -> None:
    (first, *_) = states["Drain"]["Catch"]
    assert (first["ErrorEquals"], first["Next"]) == (["ChunksMissingError"], "Resend")
    # What the map needs is still there.
    assert first["ResultPath"] == "$.error"
    assert states["Resend"]["ItemReader"]["Parameters"]["Key.$"] == "$.manifest"


def test_the_map_runs_as_many_at_once_as_share_the_rate(states: States, templates: Templates) -> None:
    sending = states["Resend"]
    concurrency = templates.functions()["resend"].properties["ReservedConcurrentExecutions"]
    assert sending["MaxConcurrency"] == concurrency
    assert templates.variables("resend")["RESEND_CONCURRENCY"] == str(concurrency)
    assert sending["ResultPath"] is None
    assert sending["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def test_the_claim_is_given_the_whole_input_and_who_runs_it(states: States, templates: Templates) -> None:
    assert _read(templates)["StartAt"] == "Claim"
    assert states["Claim"]["Parameters"] == {"step": "claim", "input.$": "$", "execution.$": "$$.Execution.Id"}


def test_only_replay_and_its_machine_use_the_lists_of_replays(templates: Templates) -> None:
    assert {
        (verb, action)
        for verb in templates.functions()
        for action, places in templates.granted(verb).items()
        if any("/replays/" in place for place in places)
    } == {("replay", "s3:GetObject"), ("replay", "s3:PutObject")}


def test_a_list_of_files_outlives_the_plan_and_the_replay(templates: Templates) -> None:
    (bucket,) = (each for each in templates.every("AWS::S3::Bucket") if "Control" in each.name)
    (days,) = (
        rule["ExpirationInDays"]
        for rule in bucket.properties["LifecycleConfiguration"]["Rules"]
        if rule.get("Prefix") == LISTS
    )
    assert timedelta(days=days) > VALID + timedelta(seconds=_read(templates)["TimeoutSeconds"])
