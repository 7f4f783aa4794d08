"""Each kind of device bug gets the verb that mends it, and a proposal's share is what the judge says."""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.errors import Refusal
from sluice.core.events.envelope import HEADER, read_envelope
from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Accepted
from sluice.core.redrive.explaining import explain
from sluice.core.redrive.fixes import Fix, describe_fix, read_fix
from sluice.core.redrive.judging import rejudge
from sluice.core.redrive.proposing import measure, propose
from tests.support import samples
from tests.support.letters import put, reject, rename, telemetry

RULES = samples.rules()


def of_bug(change: Callable[[dict[str, Any]], Any], times: int = 5) -> list[Letter]:
    return [reject(telemetry(number, change)) for number in range(times)]


def verbs(fix: Fix) -> list[dict[str, Any]]:
    return describe_fix(fix)


def outside(document: dict[str, Any]) -> None:
    document["cpu_temp"] = document["metrics"].pop("cpu_temp")


@pytest.mark.parametrize(
    ("bug", "fix"),
    [
        (rename("cpu_temp", "cpuTemp"), [{"verb": "rename", "path": "metrics.cpuTemp", "to": "metrics.cpu_temp"}]),
        (outside, [{"verb": "rename", "path": "cpu_temp", "to": "metrics.cpu_temp"}]),
        (put("cpu_temp", "47.5"), [{"verb": "cast", "path": "metrics.cpu_temp", "type": "number"}]),
        (put("humidity", "wet"), [{"verb": "drop", "path": "metrics.humidity"}]),
        (put("humidity", None), [{"verb": "drop", "path": "metrics.humidity"}]),
        (
            lambda document: document.update(deviceId=document.pop("device_id")),
            [{"verb": "rename", "path": "deviceId", "to": "device_id"}],
        ),
        (
            lambda document: document.update(firmware_version=document.pop("device_firmware_version")),
            [{"verb": "rename", "path": "firmware_version", "to": "device_firmware_version"}],
        ),
    ],
)
def test_a_bug_of_telemetry_gets_its_verb(bug: Callable[[dict[str, Any]], Any], fix: list[dict[str, Any]]) -> None:
    proposal = propose(of_bug(bug), RULES, None)
    assert verbs(proposal.fix) == fix
    assert (proposal.share, proposal.passed_before) == (1.0, 0)


@pytest.mark.parametrize(
    ("sent", "fix"),
    [
        ({"quality": "GOOD"}, [{"verb": "set", "path": "quality", "value": "good"}]),
        ({"quality": "odd"}, [{"verb": "drop", "path": "quality"}]),
        ({"schema_version": "2"}, [{"verb": "cast", "path": "schema_version", "type": "integer"}]),
        ({"sensor_type": "temperature", "unit": "F"}, [{"verb": "set", "path": "unit", "value": "degF"}]),
    ],
)
def test_a_bug_of_readings_gets_its_verb(sent: dict[str, Any], fix: list[dict[str, Any]]) -> None:
    letter = reject(samples.encode(samples.read("reading-v2.json") | sent), "reading")
    assert verbs(propose([letter], RULES, None).fix) == fix


def test_several_bugs_of_one_event_get_a_verb_each() -> None:
    def both(document: dict[str, Any]) -> None:
        rename("cpu_temp", "cpuTemp")(document)
        document["metrics"]["vibration_rms"] = "1.5"

    proposal = propose(of_bug(both), RULES, None)
    assert {one["verb"] for one in verbs(proposal.fix)} == {"rename", "cast"}
    assert proposal.share == 1.0


def test_a_number_out_of_its_bounds_is_converted_into_them() -> None:
    # 1e15 mm/s at most: of a nanometre's scale, sent as m/s by mistake of the unit, it is beyond.
    proposal = propose(of_bug(put("supply_voltage", 2.4e15)), RULES, None)
    # Beyond the edge's own bound of numbers: no verb can read it, and nothing is proposed.
    assert (proposal.fix, proposal.share) == ((), 0.0)


def test_the_share_is_of_the_letters_that_would_pass() -> None:
    good, bad = of_bug(rename("cpu_temp", "cpuTemp"), 3), [reject(telemetry(7, lambda each: each["metrics"].clear()))]
    assert propose([*good, *bad], RULES, None).share == 0.75


def test_no_other_text_is_taken_for_an_id() -> None:
    reading = samples.read("reading-v2.json") | {"site": "north"}
    del reading["event_id"]
    assert propose([reject(samples.encode(reading), "reading")], RULES, None).fix == ()
    # In any other place, the only member that nobody declares is what was meant.
    unnamed = samples.read("reading-v2.json") | {"zone": "eu-west-1"}
    del unnamed["region"]
    fix = propose([reject(samples.encode(unnamed), "reading")], RULES, None).fix
    assert verbs(fix) == [{"verb": "rename", "path": "zone", "to": "region"}]


def without_id(**instead: str) -> Callable[[dict[str, Any]], None]:
    """A bug that sends no event id, and another member whose name is like it."""

    def change(document: dict[str, Any]) -> None:
        del document["event_id"]
        document.update(instead)

    return change


@pytest.mark.parametrize("name", ["client_id", "tenant_id", "request_id", "eventId"])
def test_a_member_that_is_the_same_in_every_event_is_not_taken_for_its_id(name: str) -> None:
    # Of one device: the first and the fortieth after it.
    letters = [reject(telemetry(40 * number, without_id(**{name: str(UUID(int=7))}))) for number in range(3)]
    for number, letter in enumerate(letters):
        document = msgspec.json.decode(letter.event or "") | {"sequence": number}
        letters[number] = reject(samples.encode(document))
    assert propose(letters, RULES, None).fix == ()
    given = read_fix([{"verb": "rename", "path": name, "to": "event_id"}], RULES.contracts.book)
    with pytest.raises(Refusal) as refused:
        measure(letters, given, RULES, None)
    assert (refused.value.status, refused.value.code) == (400, "identity_fixed")
    assert measure(letters[:1], given, RULES, None).share == 1.0


def test_an_id_under_another_name_is_found_where_it_tells_events_apart() -> None:
    letters = [reject(telemetry(number, without_id(evt_id=str(UUID(int=number + 1))))) for number in range(3)]
    assert verbs(propose(letters, RULES, None).fix) == [{"verb": "rename", "path": "evt_id", "to": "event_id"}]


def test_a_device_s_type_is_not_taken_for_the_device() -> None:
    def change(document: dict[str, Any]) -> None:
        del document["device_id"]
        document["device_type"] = "press"

    assert propose(of_bug(change), RULES, None).fix == ()


@pytest.mark.parametrize("verb", [{"verb": "set", "path": "timestamp", "value": "2026-11-20T10:00:00Z"}])
def test_activities_whose_bytes_a_fix_makes_equal_are_not_merged(verb: dict[str, Any]) -> None:
    activity = {"type": "login", "source": "app", "actor": {"id": "u"}}
    letters = [reject(samples.encode(activity | {"timestamp": f"at {number}"}), "activity") for number in range(2)]
    with pytest.raises(Refusal) as refused:
        measure(letters, read_fix([verb], RULES.contracts.book), RULES, None)
    assert refused.value.code == "identity_fixed"
    assert measure(letters[:1], read_fix([verb], RULES.contracts.book), RULES, None).share == 1.0


def test_events_that_shared_their_id_before_may_share_it_after() -> None:
    bug = rename("cpu_temp", "cpuTemp")

    def resent(document: dict[str, Any]) -> None:
        bug(document)
        document["metrics"]["cpuTemp"] = 3

    proposal = propose([reject(telemetry(1, bug)), reject(telemetry(1, resent))], RULES, None)
    assert (proposal.share, len(proposal.fix)) == (1.0, 1)


def test_a_proposal_whose_time_is_over_is_the_best_so_far_and_says_so() -> None:
    letters, times = of_bug(rename("cpu_temp", "cpuTemp")), iter([True, True])
    proposal = propose(letters, RULES, None, lambda: next(times, False))
    assert not propose(letters, RULES, None, lambda: False).complete
    assert propose(letters, RULES, None).complete
    assert proposal.complete == (proposal.share == 1.0)


def test_what_no_verb_mends_gets_no_fix() -> None:
    proposal = propose([reject(b"{")], RULES, None)
    assert (proposal.fix, proposal.tried, proposal.share) == ((), 1, 0.0)


BUGS = st.sampled_from(
    [
        rename("cpu_temp", "cpuTemp"),
        rename("vibration_rms", "vib"),
        put("cpu_temp", "x"),
        put("cpu_temp", "4"),
        put("humidity", []),
        put("motor_current", "1"),
        lambda document: document.pop("timestamp"),
        lambda document: document.update(device_id=7),
    ]
)


@given(st.lists(BUGS, min_size=1, max_size=6))
def test_a_proposals_share_is_what_the_judge_says(bugs: list[Callable[[dict[str, Any]], Any]]) -> None:
    letters = [reject(telemetry(number, bug)) for number, bug in enumerate(bugs)]
    proposal = propose(letters, RULES, None)
    fix = read_fix(verbs(proposal.fix), RULES.contracts.book)
    passed = sum(isinstance(rejudge(letter, fix, RULES, None), Accepted) for letter in letters)
    assert (proposal.passed, proposal.tried) == (passed, len(letters))
    assert measure(letters, fix, RULES, None).passed == passed


def test_a_redriven_event_keeps_its_reception_and_its_request_and_says_what_it_was() -> None:
    (letter,) = of_bug(rename("cpu_temp", "cpuTemp"), 1)
    fix = propose([letter], RULES, None).fix
    verdict = rejudge(letter, fix, RULES, None)
    assert isinstance(verdict, Accepted)
    envelope = read_envelope(dict(verdict.message.headers)[HEADER])
    assert (envelope.received_at, envelope.correlation_id, envelope.flags) == (samples.NOW, "test-1", ("redriven",))
    assert envelope.original_sha256 == hashlib.sha256((letter.event or "").encode()).hexdigest()


def test_lateness_is_judged_by_the_original_reception() -> None:
    late = samples.read("telemetry-v2.json") | {"timestamp": "2026-11-20T06:00:00Z", "device_id": 7}
    letter = reject(samples.encode(late))
    fix = read_fix([{"verb": "cast", "path": "device_id", "type": "string"}], RULES.contracts.book)
    verdict = rejudge(letter, fix, RULES, None)
    assert isinstance(verdict, Accepted)
    assert read_envelope(dict(verdict.message.headers)[HEADER]).flags == ("late_arrival", "redriven")


def test_a_letter_is_explained_by_each_rule_its_value_and_what_would_pass() -> None:
    def both(document: dict[str, Any]) -> None:
        rename("cpu_temp", "cpuTemp")(document)
        document["metrics"]["vibration_rms"] = "1.5"

    (letter,) = of_bug(both, 1)
    told = explain(letter, RULES, None)
    assert (told["redrivable"], told["passes_now"]) == (True, False)
    missing, typed = told["breaches"]
    assert (missing["path"], missing["rule"], missing["value"]) == ("metrics.cpu_temp", "required", None)
    assert missing["passes"] == "a number from -1e+15 to 1e+15 in degC"
    assert (typed["path"], typed["rule"], typed["value"]) == ("metrics.vibration_rms", "type", '"1.5"')


def test_a_letter_whose_event_passes_now_says_so() -> None:
    sound = samples.read_bytes("telemetry-v2.json")
    (letter,) = of_bug(put("humidity", "wet"), 1)
    mended = msgspec.structs.replace(letter, event=sound.decode(), event_size=len(sound))
    told = explain(mended, RULES, None)
    assert (told["passes_now"], told["breaches"]) == (True, [])


def test_a_rejection_without_violations_is_explained_as_a_whole() -> None:
    told = explain(reject(b'{"device_firmware_version":"9.1.0"}'), RULES, None)
    (breach,) = told["breaches"]
    assert (breach["path"], breach["rule"]) == (None, "unknown_firmware")
    assert "known are 1.x" in breach["passes"]
