"""The record behind a dead letter of a consumer, as it was in raw-events, and whether its consumer can read it now.

Its offset, its bytes and its header are in the letter: the record can be given to the consumer that gave it up, also
when Kafka no longer has it. Ingest had accepted the bytes, so there is nothing to fix in them.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from sluice.core.archive.rows import make_row
from sluice.core.consumers import AGGREGATE, ARCHIVE, RAW_EVENTS
from sluice.core.errors import Killer
from sluice.core.events.contracts import Contracts
from sluice.core.events.envelope import HEADER, REDRIVEN
from sluice.core.failures.letters import Letter, read_bytes
from sluice.core.ledger.rerun import CREATE_TIME, ReadRecord
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.samples.events import read_event

_FLAGS = 5
"""Where an envelope has its flags, in every version so far."""

Reader = Callable[[KafkaRecord, Contracts, Limits, datetime], object]
READERS: Mapping[str, Reader] = {
    ARCHIVE.name: lambda record, contracts, limits, now: make_row(record, contracts),  # noqa: ARG005
    AGGREGATE.name: read_event,
}
"""How each consumer reads a record: it raises what it cannot read."""


def has_record(letter: Letter) -> bool:
    """Return whether a letter of a consumer has all of its record: the bytes, uncut, its header and its place."""
    named = (letter.envelope, letter.fleet_id, letter.received_at, letter.kafka_partition, letter.kafka_offset)
    if None in named or letter.kafka_topic != RAW_EVENTS:
        return False
    return len(read_bytes(letter)) == letter.event_size


def place_of(letter: Letter) -> Origin:
    """Return the place of a letter's record."""
    if letter.kafka_topic is None or letter.kafka_partition is None or letter.kafka_offset is None:
        raise ValueError(f"letter {letter.letter_id} names no record")
    return Origin(letter.kafka_topic, letter.kafka_partition, letter.kafka_offset)


def when_received(letter: Letter) -> datetime:
    """Return when a letter's record was received, or failed if the letter does not say it."""
    return datetime.fromisoformat(letter.received_at or letter.failed_at)


def identify_record(letter: Letter) -> str:
    """Derive an id from a letter's consumer and record: two records may have the same bytes, and so the same letter id.

    The reception tells records of a recreated topic apart.
    """
    parts = (letter.consumer, letter.kafka_topic, letter.kafka_partition, letter.kafka_offset, letter.received_at)
    return hashlib.sha256(msgspec.json.encode((*parts, None if has_record(letter) else letter.letter_id))).hexdigest()


def restore_record(letter: Letter) -> ReadRecord:
    """Return the record of a letter that has it, with the flag of a redriven event."""
    received = when_received(letter)
    header = mark_redriven((letter.envelope or "").encode())
    milliseconds = int(received.timestamp() * 1000)
    return ReadRecord(place_of(letter), CREATE_TIME, milliseconds, None, read_bytes(letter), ((HEADER, header),))


def mark_redriven(header: bytes) -> bytes:
    """Add the flag to an envelope, and keep all else of it; one that has no flags stays as it is."""
    try:
        elements = msgspec.json.decode(header, type=list[msgspec.Raw])
        flags = msgspec.json.decode(elements[_FLAGS], type=list[str])
    except (msgspec.MsgspecError, IndexError, UnicodeDecodeError):
        return header
    if REDRIVEN not in flags:
        elements[_FLAGS] = msgspec.Raw(msgspec.json.encode([*flags, REDRIVEN]))
    return msgspec.json.encode(elements)


def can_read(letter: Letter, contracts: Contracts, limits: Limits, now: datetime) -> bool:
    """Return whether the letter's consumer can read its record now. One that broke its consumer is not tried here."""
    if letter.reason == Killer.reason:
        return False
    record = restore_record(letter)
    headers = {name: value or b"" for name, value in record.headers}
    try:
        READERS[letter.consumer](KafkaRecord(record.origin, record.value or b"", headers), contracts, limits, now)
    except Exception:  # noqa: BLE001 - whatever it is, its consumer would meet it too
        return False
    return True
