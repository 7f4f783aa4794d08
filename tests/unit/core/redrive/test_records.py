"""The record of a letter is the one that its consumer gave up, but for a flag. A letter may lack some of it."""

from typing import Any

import msgspec
import pytest

from sluice.core.errors import Ahead, Killer, Poison
from sluice.core.events.envelope import HEADER
from sluice.core.failures.letters import Letter, about_record
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.redrive.groups import identify, is_whole
from sluice.core.redrive.records import can_read, mark_redriven, restore_record
from tests.support import samples

ENVELOPE = b'[1,"2026-11-20T09:30:01Z","demo","telemetry",2,["late_arrival"],"c"]'


def letter_of(value: bytes, fault: Any = None, consumer: str = "archive", offset: int = 7) -> Letter:
    record = KafkaRecord(Origin("raw-events", 3, offset), value, {HEADER: ENVELOPE})
    return about_record(record, fault or Poison("no"), consumer, samples.NOW)


TELEMETRY = samples.read_bytes("telemetry-v2.json")


@pytest.mark.parametrize("value", [TELEMETRY, b"\x00\xff no text"])
def test_a_record_is_restored_with_its_place_its_bytes_and_a_flag(value: bytes) -> None:
    letter = letter_of(value)
    assert is_whole(letter)
    record = restore_record(letter)
    assert (record.origin, record.value) == (Origin("raw-events", 3, 7), value)
    flagged = b'[1,"2026-11-20T09:30:01Z","demo","telemetry",2,["late_arrival","redriven"],"c"]'
    assert record.headers == ((HEADER, flagged),)


@pytest.mark.parametrize("header", [b"?", b"[]", b'{"a":1}', b'[1,2,3,4,5,"text"]', b"\xff"])
def test_a_header_without_flags_stays_as_it_is(header: bytes) -> None:
    assert mark_redriven(header) == header


def test_a_header_is_marked_once_and_keeps_what_this_release_does_not_know() -> None:
    later = b'[1,"t","demo","telemetry",2,[],"c",null,{"new":[1]}]'
    marked = mark_redriven(later)
    assert marked == b'[1,"t","demo","telemetry",2,["redriven"],"c",null,{"new":[1]}]'
    assert mark_redriven(marked) == marked


@pytest.mark.parametrize(
    "lacks",
    [
        {"envelope": None},
        {"received_at": None},
        {"fleet_id": None},
        {"kafka_offset": None},
        {"kafka_topic": "raw-events@2026"},
        {"event": "{"},
        {"consumer": "recount"},
    ],
)
def test_a_letter_that_lacks_some_of_its_record_is_not_whole(lacks: dict[str, Any]) -> None:
    assert not is_whole(msgspec.structs.replace(letter_of(TELEMETRY), **lacks))


def test_letters_of_a_consumer_are_known_by_their_records() -> None:
    letters = [
        letter_of(TELEMETRY),
        letter_of(TELEMETRY, offset=8),
        letter_of(TELEMETRY, consumer="aggregate"),
        msgspec.structs.replace(letter_of(TELEMETRY), received_at="2026-11-20T09:30:02.000000Z"),
    ]
    assert len({letter.letter_id for letter in letters}) == 1
    assert len({identify(letter) for letter in letters}) == len(letters)
    again = letter_of(TELEMETRY, Killer("it died", 3, deadly=True))
    assert again.letter_id != letters[0].letter_id
    assert identify(again) == identify(letters[0])


@pytest.mark.parametrize("consumer", ["archive", "aggregate"])
@pytest.mark.parametrize(
    ("value", "fault", "reads"),
    [
        (TELEMETRY, None, True),
        (TELEMETRY, Ahead("telemetry 9"), True),
        (b"\x00", None, False),
        (TELEMETRY, Killer("it died", 3, deadly=True), False),
    ],
)
def test_a_record_that_its_consumer_can_read_now_is_told_from_one_that_it_cannot(
    consumer: str, value: bytes, fault: Any, reads: bool
) -> None:
    letter = letter_of(value, fault, consumer)
    assert can_read(letter, samples.contracts(), Limits(), samples.NOW) is reads
