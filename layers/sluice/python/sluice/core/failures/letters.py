"""Dead letters: one form for every record and event that failed.

Releases run side by side. Every reader keeps members that were added. The version rises only when a member changes its
meaning or its form. A reader keeps a letter of a later version as it is.
"""

import base64
import contextlib
import hashlib
from datetime import datetime
from typing import Annotated, Any

import msgspec

from sluice.core.errors import Conflict, Fault, Killer
from sluice.core.events.envelope import HEADER, read_envelope, read_head
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord
from sluice.core.times import write_time

VERSION = 1
MAX_BODY = Limits().max_letter
MAX_DETAIL = 1024
MAX_ID = 128
MAX_ENVELOPE = 4096


# The range of the table's columns: a letter beyond it could not be read back.
Int = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
BigInt = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Moment = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$")]


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dead letter. Exactly one of event and event_base64 holds the bytes, cut to the size limit."""

    version: int
    letter_id: str
    reason: str
    detail: str
    consumer: str
    attempts: Int
    failed_at: Moment
    event_size: BigInt
    event: str | None = None
    event_base64: str | None = None
    fleet_id: str | None = None
    device_id: str | None = None
    event_id: str | None = None
    contract: str | None = None
    schema_version: Int | None = None
    firmware: str | None = None
    correlation_id: str | None = None
    received_at: Moment | None = None
    kafka_topic: str | None = None
    kafka_partition: Int | None = None
    kafka_offset: BigInt | None = None
    envelope: str | None = None
    """The record's header as it was written: a later release may be able to read it."""
    first_event: str | None = None
    """For a conflict: the bytes of the first event with this id, cut likewise."""
    first_kafka_partition: Int | None = None
    first_kafka_offset: BigInt | None = None
    path: str | None = None
    """Where a rejected event breaks its contract first, if its check names a place."""
    rule: str | None = None
    """The rule that it breaks there."""


class UnverifiedFields(msgspec.Struct, frozen=True):
    """What an untrusted document says about itself, as far as it is safe to store."""

    event_id: str | None = None
    device_id: str | None = None
    firmware: str | None = None


def read_unverified_fields(document: object) -> UnverifiedFields:
    """Return the names in a document that are short texts; anything else is dropped."""
    if not isinstance(document, dict):
        return UnverifiedFields()
    return UnverifiedFields(
        event_id=short_text(document.get("event_id")),
        device_id=short_text(document.get("device_id", document.get("source"))),
        firmware=short_text(document.get("device_firmware_version", document.get("firmware_version"))),
    )


def write_letter(
    *, reason: str, detail: str, body: bytes, consumer: str, failed_at: datetime, max_body: int = MAX_BODY, **known: Any
) -> Letter:
    """Write a letter about some bytes; the same bytes sent again get the same letter id."""
    try:
        kept: dict[str, Any] = {"event": cut_text(body, max_body)}
    except UnicodeDecodeError:
        kept = {"event_base64": base64.b64encode(body[:max_body]).decode()}
    return Letter(
        version=VERSION,
        letter_id=identify(known.get("fleet_id"), known.get("event_id"), body),
        reason=reason,
        detail=detail[:MAX_DETAIL],
        consumer=consumer,
        attempts=known.pop("attempts", 1),
        failed_at=write_time(failed_at),
        event_size=len(body),
        **kept,
        **known,
    )


def about_record(record: KafkaRecord, fault: Fault | Conflict, consumer: str, failed_at: datetime) -> Letter:
    """Write the letter of a record that a consumer gave up, with its offset and everything readable in it."""
    header = record.headers.get(HEADER)
    known: dict[str, Any] = {}
    # Each part is read separately: an unreadable part may be the reason for the letter.
    with contextlib.suppress(Exception):
        head = read_head(header)
        known |= {name: short_text(getattr(head, name)) for name in ("fleet_id", "contract")}
        known |= {"schema_version": head.schema_version, "received_at": write_time(head.received_at)}
        known["correlation_id"] = short_text(read_envelope(header).correlation_id)
    if not (isinstance(fault, Killer) and fault.deadly):
        with contextlib.suppress(Exception):
            known |= msgspec.structs.asdict(read_unverified_fields(msgspec.json.decode(record.value)))
    return write_letter(
        reason=fault.reason,
        detail=str(fault),
        body=record.value,
        consumer=consumer,
        failed_at=failed_at,
        attempts=fault.attempts,
        kafka_topic=record.origin.topic,
        kafka_partition=record.origin.partition,
        kafka_offset=record.origin.offset,
        envelope=_as_text(header),
        **known,
    )


def check_letter(letter: Letter) -> None:
    """Raise ValueError for a letter that breaks its form: its day becomes part of a file's name."""
    if letter.version < VERSION:
        raise ValueError(f"there are no letters of version {letter.version}")
    if (letter.event is None) == (letter.event_base64 is None):
        raise ValueError("a letter holds its event in one of two ways")
    datetime.fromisoformat(letter.failed_at)


def identify(fleet_id: str | None, event_id: str | None, body: bytes) -> str:
    """Derive a letter's id from its fleet, event and content, so that retries do not multiply it."""
    parts = [(fleet_id or "").encode(), (event_id or "").encode(), hashlib.sha256(body).digest()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def read_bytes(letter: Letter) -> bytes:
    """Return the bytes as they were sent, as far as the letter keeps them."""
    if letter.event_base64 is not None:
        return base64.b64decode(letter.event_base64)
    return (letter.event or "").encode()


def cut_text(body: bytes, size: int) -> str:
    """Read bytes as text, cut at the end of a character: half of one would make the text look like binary data."""
    while size < len(body) and size and body[size] & 0xC0 == 0x80:
        size -= 1
    return body[:size].decode("utf-8")


def _as_text(header: bytes | None) -> str | None:
    try:
        return header.decode() if header is not None and len(header) <= MAX_ENVELOPE else None
    except UnicodeDecodeError:
        return None


def short_text(value: object) -> str | None:
    """Return a text that is short and printable, and None for any other value."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable() else None
