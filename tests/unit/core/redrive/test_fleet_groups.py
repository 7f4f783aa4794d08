"""Readers see each group with what one of its letters breaks, and which events it is about."""

from datetime import timedelta

import msgspec

from sluice.core.failures.letters import Letter
from sluice.core.query.letter_groups import LetterExample, LetterGroups
from sluice.core.redrive import fleet_groups
from sluice.core.redrive.fleet_groups import FleetGroups
from sluice.core.redrive.groups import Standing
from tests.support.letters import put, reject, rename, telemetry
from tests.support.samples import NOW, rules

BUG = rename("cpu_temp", "cpuTemp")


def group(*letters: Letter, standings: dict[str, Standing] | None = None) -> LetterGroups:
    groups = FleetGroups(rules(), None)
    for letter in letters:
        groups.add(letter)
    return groups.describe(standings or {}, complete=True)


def test_a_group_says_what_is_wrong_with_it_what_would_pass_and_names_events() -> None:
    letters = [
        reject(telemetry(number, put("cpu_temp", "hot")), at=NOW + timedelta(seconds=number)) for number in range(5)
    ]
    found = group(*letters, *letters[:2])
    (item,) = found.items
    assert (found.found, found.letters, item.letters, item.state) == (1, 5, 5, "open")
    assert (item.path, item.rule) == ("metrics.cpu_temp", "type")
    assert item.example is not None
    assert item.example.value == '"hot"'
    assert item.example.passes is not None
    assert "number" in item.example.passes
    assert "metrics.cpu_temp" in item.example.message
    named = [(one.letter_id, one.event_id, one.device_id, one.failed_at) for one in item.samples]
    assert named == [(one.letter_id, one.event_id, one.device_id, one.failed_at) for one in letters[:3]]


def test_what_a_redrive_made_of_the_letters_is_in_it() -> None:
    letters = [reject(telemetry(number, BUG)) for number in range(2)]
    known = {letters[0].letter_id: Standing("accounted", 1, 1), letters[1].letter_id: Standing("accepted", 1, 1)}
    (item,) = group(*letters, standings=known).items
    assert (item.accounted, item.in_flight, item.state) == (1, 1, "open")


def test_an_event_that_a_later_release_accepts_says_so() -> None:
    accepted = reject(telemetry(1, BUG))
    accepted = msgspec.structs.replace(accepted, event=telemetry(1, lambda _: None).decode())
    accepted = msgspec.structs.replace(accepted, event_size=len((accepted.event or "").encode()))
    (item,) = group(accepted).items
    assert item.example == LetterExample("The event as it is would be accepted by now.", None, None)


def test_what_a_consumer_gave_up_or_what_was_cut_is_grouped_and_not_explained() -> None:
    letter = reject(telemetry(1, BUG))
    given_up = msgspec.structs.replace(letter, consumer="aggregate", letter_id="b" * 64)
    cut = msgspec.structs.replace(letter, event="{")
    for one in (given_up, cut):
        (item,) = group(one).items
        assert (item.example, item.letters, len(item.samples)) == (None, 1, 1)


def test_the_bytes_of_an_event_are_in_no_answer() -> None:
    letter = reject(telemetry(1, BUG))
    assert letter.event is not None
    assert "vibration_rms" in letter.event
    assert b"vibration_rms" not in msgspec.json.encode(group(letter))


def test_a_fleet_that_invents_groups_gets_the_largest_and_costs_a_bounded_time() -> None:
    letter = reject(telemetry(1, BUG))
    many = [
        msgspec.structs.replace(letter, firmware=str(number), letter_id=str(number))
        for number in range(fleet_groups.MOST_EXPLAINED + 1)
    ]
    last = msgspec.structs.replace(many[-1], letter_id="again")
    found = group(*many, last)
    assert (found.found, len(found.items)) == (len(many), fleet_groups.MOST_GROUPS)
    # The largest is the one that was found too late to be explained.
    assert (found.items[0].letters, found.items[0].example, found.items[0].samples) == (2, None, ())
    assert found.items[1].example is not None
