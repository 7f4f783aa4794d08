"""Letters of one bug are one group, counted once each, and closed when each has its end."""

from datetime import timedelta

import msgspec

from sluice.core.redrive.groups import MOST_ATTEMPTS, Grouping, Standing, is_whole, key_of
from tests.support.letters import put, reject, rename, telemetry
from tests.support.samples import NOW

BUG = rename("cpu_temp", "cpuTemp")


def test_one_bug_is_one_group_with_its_count_times_and_samples() -> None:
    grouping = Grouping()
    letters = [reject(telemetry(number, BUG), at=NOW + timedelta(seconds=number)) for number in range(5)]
    other = reject(telemetry(9, put("humidity", "wet")))
    for letter in [*letters, *letters[:2], other]:
        grouping.add(letter)
    group, single = grouping.describe({}, most=10)
    assert (group["letters"], single["letters"], len(grouping), grouping.letters) == (5, 1, 2, 6)
    assert (group["path"], group["rule"], group["reason"]) == ("metrics.cpu_temp", "required", "contract_violation")
    assert (group["first"], group["last"]) == (letters[0].failed_at, letters[4].failed_at)
    assert group["samples"] == [letter.letter_id for letter in letters[:3]]
    assert group["state"] == "open"


def test_a_group_has_the_same_id_whenever_it_is_looked_at_and_another_by_any_part_of_its_key() -> None:
    letter = reject(telemetry(1, BUG))
    assert key_of(letter).group_id == key_of(reject(telemetry(2, BUG))).group_id
    for name in key_of(letter).__struct_fields__:
        other = msgspec.structs.replace(letter, **{name: "other"})
        assert key_of(other).group_id != key_of(letter).group_id, name


def test_a_letter_of_an_earlier_release_has_a_group_too() -> None:
    old = msgspec.structs.replace(reject(telemetry(1, BUG)), path=None, rule=None)
    assert key_of(old).path is None


def test_a_group_is_closed_when_each_of_its_letters_is_accounted_for_exhausted_or_incomplete() -> None:
    grouping = Grouping()
    letters = [reject(telemetry(number, BUG)) for number in range(3)]
    cut = msgspec.structs.replace(letters[2], event="{")
    for letter in (*letters[:2], cut):
        grouping.add(letter)
    first, second = letters[0].letter_id, letters[1].letter_id
    known = {first: Standing("accounted", 1, 1), second: Standing("rejected", MOST_ATTEMPTS - 1, 1)}
    (group,) = grouping.describe(known, most=1)
    assert (group["state"], group["accounted"], group["still_bad"], group["incomplete"]) == ("open", 1, 1, 1)
    (group,) = grouping.describe(known | {second: Standing("rejected", MOST_ATTEMPTS, 1)}, most=1)
    assert (group["state"], group["exhausted"], group["still_bad"]) == ("closed", 1, 0)
    (group,) = grouping.describe(known | {second: Standing("accepted", 1, 1)}, most=1)
    assert (group["state"], group["in_flight"]) == ("open", 1)


def test_only_a_letter_with_all_bytes_as_text_can_be_redriven() -> None:
    letter = reject(telemetry(1, BUG))
    assert is_whole(letter)
    assert not is_whole(msgspec.structs.replace(letter, event=(letter.event or "")[:-1]))
    assert not is_whole(msgspec.structs.replace(letter, event=None, event_base64="AAAA"))
    assert not is_whole(msgspec.structs.replace(letter, contract=None))
