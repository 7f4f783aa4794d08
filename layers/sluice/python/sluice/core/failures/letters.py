"""Dead letters: one form for everything that went no further, whoever gave up on it."""

import base64
import contextlib
import hashlib
from datetime import datetime
from typing import Annotated, Any

import msgspec

from sluice.core.errors import Killer, Poison
from sluice.core.events.envelope import HEADER, read_envelope
from sluice.core.records import KafkaRecord
from sluice.core.times import write_time

VERSION = 1
MAX_DETAIL = 1024
MAX_ID = 128


# What the table's columns hold: a letter beyond them could not be read back.
Int = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
BigInt = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Moment = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$")]


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dead letter. Exactly one of event and event_base64 holds the bytes, as many as are kept of them."""

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


class Claims(msgspec.Struct, frozen=True):
    """What a document that was not believed says of itself, as far as it is fit to be written down."""

    event_id: str | None = None
    device_id: str | None = None
    firmware: str | None = None


def read_claims(document: object) -> Claims:
    """Take the names a document gives itself, without believing more than that they are short texts."""
    if not isinstance(document, dict):
        return Claims()
    return Claims(
        event_id=short_text(document.get("event_id")),
        device_id=short_text(document.get("device_id", document.get("source"))),
        firmware=short_text(document.get("device_firmware_version", document.get("firmware_version"))),
    )


def write_letter(
    *, reason: str, detail: str, body: bytes, max_body: int, consumer: str, failed_at: datetime, **origin: Any
) -> Letter:
    """Write a letter about some bytes; sending the same bytes again makes the same letter id."""
    event: str | None = None
    event_base64: str | None = None
    try:
        event = _cut(body, max_body).decode("utf-8")
    except UnicodeDecodeError:
        event_base64 = base64.b64encode(body[:max_body]).decode()
    return Letter(
        version=VERSION,
        letter_id=identify(origin.get("fleet_id"), origin.get("event_id"), body),
        reason=reason,
        detail=detail[:MAX_DETAIL],
        consumer=consumer,
        attempts=origin.pop("attempts", 1),
        failed_at=write_time(failed_at),
        event_size=len(body),
        event=event,
        event_base64=event_base64,
        **origin,
    )


def about_record(record: KafkaRecord, poison: Poison, consumer: str, failed_at: datetime, max_body: int) -> Letter:
    """Write the letter of a record that a consumer gave up on, with its place and what its envelope still tells."""
    known: dict[str, Any] = {}
    # What can still be read of it is told; that something cannot is what the letter is about, however it shows.
    with contextlib.suppress(Exception):
        envelope = read_envelope(record.headers.get(HEADER))
        known = {name: short_text(getattr(envelope, name)) for name in ("fleet_id", "contract", "correlation_id")}
        known["schema_version"] = envelope.schema_version
        known["received_at"] = write_time(envelope.received_at)
    if not (isinstance(poison, Killer) and poison.deadly):
        with contextlib.suppress(Exception):
            known |= msgspec.structs.asdict(read_claims(msgspec.json.decode(record.value)))
    return write_letter(
        reason=poison.reason,
        detail=str(poison),
        body=record.value,
        max_body=max_body,
        consumer=consumer,
        failed_at=failed_at,
        attempts=poison.attempts,
        kafka_topic=record.origin.topic,
        kafka_partition=record.origin.partition,
        kafka_offset=record.origin.offset,
        **known,
    )


def check_letter(letter: Letter) -> None:
    """Raise ValueError where a letter says what its form does not allow: it names a file by its day."""
    if letter.version != VERSION:
        raise ValueError(f"this code reads letters of version {VERSION}, not {letter.version}")
    if (letter.event is None) == (letter.event_base64 is None):
        raise ValueError("a letter holds its event in one of two ways")
    datetime.fromisoformat(letter.failed_at)


def identify(fleet_id: str | None, event_id: str | None, body: bytes) -> str:
    """Name a letter by whose it is and what it holds, so that retries do not multiply it."""
    parts = [(fleet_id or "").encode(), (event_id or "").encode(), hashlib.sha256(body).digest()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _cut(body: bytes, size: int) -> bytes:
    """Cut at the end of a character: half of one would make text look like other bytes."""
    while size < len(body) and size and body[size] & 0xC0 == 0x80:
        size -= 1
    return body[:size]


def short_text(value: object) -> str | None:
    """Return a name that is fit to be written down, and nothing in place of one that is not."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable() else None
