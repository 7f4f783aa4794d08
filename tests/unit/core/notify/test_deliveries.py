"""Deliveries: their order, their identity, how long they are tried, and what is none."""

import re

import msgspec
import pytest

from sluice.core.errors import Ahead, Poison
from sluice.core.notify.deliveries import (
    LONGEST_PAUSE,
    MOST_ATTEMPTS,
    PAUSES,
    Delivery,
    find_destination,
    pause_after,
    pause_for_ours,
    plan_deliveries,
    read_delivery,
    read_message,
)
from tests.support.alert_messages import OPENED, OPENED_AT, RESOLVED, make_destination

# What SQS takes as a group and as a deduplication id.
TAKEN = re.compile(r"[\w!\"#$%&'()*+,\-./:;<=>?@\[\\\]^`{|}~]{1,128}")


def plan(message: object = OPENED) -> tuple[Delivery, ...]:
    assert isinstance(message, type(OPENED))
    return plan_deliveries(message, (make_destination("ops"), make_destination("night")), OPENED_AT)


def test_a_destinations_deliveries_are_one_group_and_no_other_waits_for_them() -> None:
    first, second = plan(), plan(RESOLVED)

    assert [each.group for each in first] == [each.group for each in second] == ["ops", "night"]


def test_the_same_message_for_the_same_destination_is_the_same_delivery() -> None:
    ids = [each.deduplication_id for message in (OPENED, OPENED, RESOLVED) for each in plan(message)]

    assert ids[:2] == ids[2:4]
    assert len(set(ids)) == 4
    longest = msgspec.structs.replace(plan()[0], destination_id="d" * 63)
    assert TAKEN.fullmatch(longest.group)
    assert TAKEN.fullmatch(longest.deduplication_id)


def test_a_delivery_reads_back() -> None:
    (delivery, _) = plan()

    assert read_delivery(msgspec.json.encode(delivery).decode()) == delivery
    assert read_message(msgspec.json.encode(OPENED).decode()) == OPENED


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"version": "one"}', '{"version": 1, "incident_id": 7}', "\udc00"])
def test_what_is_no_message_is_poison(body: str) -> None:
    for read in (read_message, read_delivery):
        with pytest.raises(Poison):
            read(body)


def test_a_later_version_waits_for_the_release_that_knows_it() -> None:
    later = msgspec.json.encode(msgspec.structs.replace(OPENED, version=2)).decode()

    with pytest.raises(Ahead, match="version 2 of a message"):
        read_message(later)


def test_of_a_delivery_of_a_later_version_the_destination_is_known() -> None:
    later = msgspec.json.encode({"version": 2, "destination_id": "ops", "message": ["another form"]}).decode()

    assert find_destination(later) == "ops"
    for body in (msgspec.json.encode(OPENED).decode(), "", "[]", '{"destination_id": 7}', "\udc00"):
        assert find_destination(body) == ""


def test_members_of_a_later_release_are_left_alone() -> None:
    body = msgspec.json.encode({**msgspec.to_builtins(OPENED), "colour": "red"}).decode()

    assert read_message(body) == OPENED


def test_attempts_are_bounded_and_outlast_five_minutes() -> None:
    pauses = [pause_after(attempt, attempt, None) for attempt in range(1, MOST_ATTEMPTS + 1)]

    assert pauses == [*PAUSES, None]
    assert sum(PAUSES) >= 300


@pytest.mark.parametrize(("asked", "pause"), [(None, 5), (1.0, 5), (30.0, 30), (86_400.0, LONGEST_PAUSE)], ids=str)
def test_a_destination_may_ask_for_a_longer_pause(asked: float | None, pause: int) -> None:
    assert pause_after(2, 2, asked) == pause


def test_pauses_grow_while_no_attempt_can_be_counted() -> None:
    assert [pause_after(1, receives, None) for receives in (1, 3, 30)] == [2, 10, 160]


def test_what_waits_for_us_is_tried_less_and_less_often_and_never_given_up_here() -> None:
    assert [pause_for_ours(receives) for receives in (1, 3, 7, 30)] == [2, 10, 160, 160]
