"""The directory's pages of types: which are taken, and which are no answer."""

import json
from typing import Any

import pytest

from sluice.core.detect.device_types import MOST_ON_PAGE, TypesAnswer, TypesQuestion, read_types_page, types_of
from sluice.core.errors import Retryable
from sluice.core.query.groups import GroupAnswer, GroupQuestion
from tests.support.samples import encode


def page(*devices: tuple[Any, Any], **members: Any) -> bytes:
    listed = [{"device_id": name, "device_type": kind, "hall": 3} for name, kind in devices]
    return json.dumps({"devices": listed, "next": "ignored"} | members).encode()


def test_a_page_settles_the_devices_up_to_its_last_one_and_the_last_page_all() -> None:
    found = read_types_page("a", page(("b", "press"), ("c", "lathe"), more=True))
    assert (types_of(found), found.until) == ({"b": "press", "c": "lathe"}, "c")
    last = read_types_page("c", page(("d", "press")))
    assert (types_of(last), last.until) == ({"d": "press"}, None)
    assert read_types_page("d", page()).until is None


def test_what_no_rule_can_name_or_no_device_is_called_is_left_out() -> None:
    found = read_types_page("", page(("a", "Press 3000"), ("b", "press"), ("c\n", "press"), more=True))
    assert types_of(found) == {"b": "press"}
    assert found.until == "c\n"
    assert types_of(read_types_page("", page((" a", "press"), ("b\n", "press")))) == {}
    assert read_types_page("", page((" a", "press"), (" b", "press"), more=True)).until == " b"
    # A type in another form counts as none, and the page goes on behind its device.
    assert read_types_page("", page(("a", ""), more=True)).until == "a"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"devices": 3}',
        page(("b", "press"), ("a", "press")),
        page(("b", "press"), ("b", "lathe")),
        page(("", "press")),
        page(more=True),
        page(("\x00", "press"), more=True),
        page(("a" * 129, "press")),
        page(("a", None)),
        page(*((f"d-{number:05d}", "press") for number in range(MOST_ON_PAGE + 1))),
    ],
)
def test_what_cannot_be_the_page_that_was_asked_for_is_no_answer(body: bytes) -> None:
    with pytest.raises(Retryable, match="the directory"):
        read_types_page("", body)


def test_a_page_begins_behind_the_device_that_was_named() -> None:
    with pytest.raises(Retryable, match="order of their ids behind 'b'"):
        read_types_page("b", page(("b", "press")))


def test_lookup_reads_the_question_and_learn_its_answer() -> None:
    import msgspec

    asked = TypesQuestion("demo", "", "c-1")
    assert msgspec.convert(json.loads(msgspec.json.encode(asked)), GroupQuestion) == GroupQuestion(
        "demo", None, "c-1", ""
    )
    found = read_types_page("", page(("a", "press")))
    answer = encode(msgspec.to_builtins(GroupAnswer(types=found)))
    assert msgspec.json.decode(answer, type=TypesAnswer) == TypesAnswer(types=found)
    # An older lookup answers with groups, which are no types.
    assert msgspec.json.decode(b'{"groups": {"groups": []}}', type=TypesAnswer) == TypesAnswer()
