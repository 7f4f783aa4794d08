import base64
from typing import Annotated

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from sluice.core.errors import Refusal
from sluice.core.query.cursors import CHECKSUM_BYTES, read_cursor, write_cursor


class Place(msgspec.Struct, frozen=True, array_like=True):
    name: str
    number: Annotated[int, msgspec.Meta(ge=0)]


def refused(text: str, question: str = "devices") -> bool:
    with pytest.raises(Refusal) as refusal:
        read_cursor(text, question, Place)
    return (refusal.value.status, refusal.value.code, refusal.value.parameter) == (400, "invalid_cursor", "cursor")


@hypothesis.given(
    strategies.text(), strategies.integers(0, 2**53), strategies.text(strategies.characters(codec="utf-8"))
)
def test_a_cursor_reads_as_it_was_written(name: str, number: int, question: str) -> None:
    hypothesis.assume(all(not 0xD800 <= ord(one) < 0xE000 for one in name))
    place = Place(name, number)
    written = write_cursor(question, place)
    assert read_cursor(written, question, Place) == place
    assert set(written) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@hypothesis.given(strategies.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    assert refused(text)


@hypothesis.given(strategies.binary(max_size=200))
def test_garbage_in_the_right_alphabet_is_refused(raw: bytes) -> None:
    assert refused(base64.urlsafe_b64encode(raw).decode().rstrip("="))


def test_one_character_more_less_or_other_is_refused() -> None:
    written = write_cursor("devices", Place("press-1", 7))
    assert refused(written + "A")
    for at in range(len(written)):
        assert refused(written[:at] + written[at + 1 :])
        changed = written[:at] + ("A" if written[at] != "A" else "B") + written[at + 1 :]
        # The last character may hold bits that no decoder reads.
        assert at == len(written) - 1 or refused(changed)


def test_a_cursor_of_another_question_is_refused() -> None:
    assert refused(write_cursor("devices", Place("press-1", 7)), "changes")


def test_a_place_that_cannot_be_is_refused_even_with_a_right_checksum() -> None:
    assert refused(write_cursor("devices", Place("press-1", -7)))
    assert CHECKSUM_BYTES >= 6
