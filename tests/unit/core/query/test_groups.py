import json

import pytest

from sluice.core.errors import Retryable
from sluice.core.query.groups import MOST_DEVICES, MOST_GROUPS, Group, GroupName, GroupQuestion, read_group_answer

LIST, ONE = GroupQuestion("demo", None, "c"), GroupQuestion("demo", "hall", "c")


def told(document: object) -> bytes:
    return json.dumps(document).encode()


def group(**changes: object) -> dict[str, object]:
    return {"group_id": "hall", "name": "Hall", "devices": ["press-1"], **changes}


def test_what_the_directory_tells_is_taken_and_what_is_not_ours_is_left_out() -> None:
    listed = read_group_answer(LIST, told({"groups": [{"group_id": "hall", "name": "Hall", "owner": "x"}], "more": 1}))
    assert listed.groups is not None
    assert listed.groups.groups == (GroupName("hall", "Hall"),)
    assert read_group_answer(ONE, told(group())).group == Group("hall", "Hall", ("press-1",))


def test_a_device_is_in_a_group_once_and_one_that_no_device_can_be_is_not_in_it() -> None:
    found = read_group_answer(ONE, told(group(devices=["a", "b", "a", "c\u0000", "d\n", "wide\u3000"]))).group
    assert found is not None
    assert found.devices == ("a", "b", "wide\u3000")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b'{"groups": [',
        b"\xff\xfe",
        b'"' + b"[" * 100_000,
        told({"groups": []}),
        told(group(group_id="other")),
        told(group(group_id="../hall")),
        told(group(name="")),
        told(group(devices="press-1")),
        told(group(devices=[1])),
        told(group(devices=[""])),
        told(group(devices=["x" * 129])),
        told(group(devices=[f"d{number}" for number in range(MOST_DEVICES + 1)])),
    ],
)
def test_garbage_is_as_good_as_no_answer(body: bytes) -> None:
    with pytest.raises(Retryable):
        read_group_answer(ONE, body)


@pytest.mark.parametrize(
    "body",
    [
        told(group()),
        told({"groups": [{"group_id": "a/b", "name": "x"}]}),
        told({"groups": [{"group_id": f"g{number}", "name": "x"} for number in range(MOST_GROUPS + 1)]}),
    ],
)
def test_a_list_of_garbage_is_as_good_as_no_answer(body: bytes) -> None:
    with pytest.raises(Retryable):
        read_group_answer(LIST, body)
