import pytest

from sluice.core.errors import Refusal
from sluice.core.ingest.slices import split_body


def test_a_single_object_is_one_slice_without_the_white_space_around_it() -> None:
    assert split_body(b' \r\n{"a": 1 }\n', 100) == [b'{"a": 1 }']


def test_slices_of_an_array_keep_every_byte_of_each_event() -> None:
    first, second = b'{"b" :1.0,\n\t"a":"\\u00e9\\/"}', '{"name":"Gerät", "x":1e2}'.encode()
    assert split_body(b"[ " + first + b" ,\n" + second + b"\n]", 100) == [first, second]


def test_what_is_not_an_array_is_left_for_the_event_to_be_judged() -> None:
    assert split_body(b'{"broken', 100) == [b'{"broken']


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty_body"),
        (b" \n\t ", 400, "empty_body"),
        (b"[]", 400, "empty_batch"),
        (b"[{}, {}, {}, {}]", 413, "batch_too_large"),
        (b'[{"a":1]', 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'[{"a":NaN}]', 400, "malformed_json"),
        (b'[{"a":"\xff"}]', 400, "invalid_utf8"),
        (b'{"a":"\xc0\x80"}', 400, "invalid_utf8"),
    ],
)
def test_a_body_that_cannot_be_split_is_refused_with_its_own_code(body: bytes, status: int, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        split_body(body, 3)
    assert (refused.value.status, refused.value.code) == (status, code)
