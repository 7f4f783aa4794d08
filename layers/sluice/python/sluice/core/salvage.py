"""What was given up outside our handlers, read back: every event in it becomes one dead letter.

There are two forms: what Lambda leaves when it gives a batch up, and what Firehose could not make a row of. Whatever is
in them and cannot be read becomes a letter as well, with the bytes it has: reading never fails.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec

from sluice.core.errors import Poison
from sluice.core.letters import BigInt, Int, Letter, about_record, short_text, write_letter
from sluice.core.records import KafkaRecord, Origin, read_headers

# The first and the last of these are what Lambda documents; RecordAgeExceeded is what it has been seen to write.
REASONS = {
    "RetryAttemptsExhausted": "retries_exhausted",
    "RetriesExhausted": "retries_exhausted",
    "RecordAgeExceeded": "expired",
    "MaximumPayloadSizeExceeded": "too_large",
}
EXPIRED = "expired"
MEANINGS = {
    EXPIRED: "it waited for longer than an event may",
    "retries_exhausted": "every try that it had failed",
    "too_large": "it does not fit into one invocation",
    "given_up": "it was given up for a reason that is not known here",
    "delivery_failed": "the delivery stream made no row of it",
    "unreadable_object": "what was left of it cannot be read",
}
"""Every reason of a letter that is written here, and what it says to a person."""

ARCHIVE = "archive"
"""Whose rows the delivery stream takes."""
SALVAGE = "salvage"

_FUNCTION = r"^arn:[^:]*:lambda:[^:]*:[^:]*:function:[A-Za-z0-9_-]{1,64}(:[^:]*)?$"
_WHITE = " \t\r\n"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


Attempts = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Wreck(msgspec.Struct, frozen=True):
    """An object with something to salvage in it: where it is kept, and when it was written."""

    kept_as: str
    written_at: datetime


class _Context(msgspec.Struct, frozen=True, rename="camel"):
    function_arn: Annotated[str, msgspec.Meta(pattern=_FUNCTION)]
    condition: str
    approximate_invoke_count: Attempts = 0


class _GivenUp(msgspec.Struct, frozen=True, rename="camel"):
    """What Lambda leaves of a batch; the payload is the whole event, as a text of JSON."""

    request_context: _Context
    payload: str


class _Event(msgspec.Struct, frozen=True):
    records: dict[str, list[msgspec.Raw]]


class _Record(msgspec.Struct, frozen=True):
    topic: Annotated[str, msgspec.Meta(max_length=249)]  # Kafka's own limit
    partition: Int
    offset: BigInt
    value: bytes | None = None
    headers: list[dict[str, list[int] | None]] | None = None


class _Undelivered(msgspec.Struct, frozen=True, rename="camel"):
    """What Firehose leaves of a record: its documentation names the error one way, its objects do another."""

    raw_data: bytes
    attempts_made: Attempts = 1
    code: str | None = msgspec.field(default=None, name="ErrorCode")
    message: str | None = msgspec.field(default=None, name="ErrorMessage")
    last_error_code: str | None = None
    last_error_message: str | None = None

    def tell(self) -> str:
        """Say what Firehose says."""
        return f"{self.code or self.last_error_code}: {self.message or self.last_error_message}"


class _Row(msgspec.Struct, frozen=True):
    """A row of the raw table as far as a letter tells it; it may be a wrong type that kept it out of the table."""

    event: str
    fleet_id: Any = None
    device_id: Any = None
    event_id: Any = None
    contract: Any = None
    schema_version: Any = None
    firmware: Any = None
    correlation_id: Any = None
    kafka_topic: Any = None
    kafka_partition: Any = None
    kafka_offset: Any = None


_NUMBERS = {"schema_version": 32, "kafka_partition": 32, "kafka_offset": 64}
"""Which of these are numbers, and of how many bits."""

# Numbers that come as texts are numbers: Firehose documents some of its own that way.
_given_up = msgspec.json.Decoder(_GivenUp, strict=False).decode
_event = msgspec.json.Decoder(_Event).decode
_record = msgspec.json.Decoder(_Record).decode
_undelivered = msgspec.json.Decoder(_Undelivered, strict=False).decode
_row = msgspec.json.Decoder(_Row).decode
_decoder = json.JSONDecoder()


def read_batch(data: bytes, wreck: Wreck, max_body: int) -> Iterator[Letter]:
    """Write a letter for each record of a batch that Lambda gave up."""
    try:
        given_up = _given_up(data)
        records = [record for records in _event(given_up.payload).records.values() for record in records]
    except _UNREADABLE as error:
        yield _unreadable(data, str(error), wreck, max_body)
        return
    if not records:
        yield _unreadable(data, "there is no record in it", wreck, max_body)
    context = given_up.request_context
    reason = REASONS.get(context.condition, "given_up")
    consumer = context.function_arn.split(":")[6].rpartition("-")[2]
    said = f"{consumer} gave it up: {MEANINGS[reason]} ({context.condition})"
    for raw in records:
        try:
            record = _record(raw)
        except _UNREADABLE as error:
            yield write_letter(
                reason=reason,
                detail=f"{said}; the record cannot be read: {error}",
                body=bytes(raw),
                max_body=max_body,
                consumer=consumer,
                failed_at=wreck.written_at,
                attempts=context.approximate_invoke_count,
            )
            continue
        yield about_record(
            KafkaRecord(
                Origin(record.topic, record.partition, record.offset),
                record.value or b"",
                read_headers(record.headers or ()),
            ),
            Poison(said),
            consumer,
            wreck.written_at,
            max_body,
            reason=reason,
            attempts=context.approximate_invoke_count,
        )


def read_output(lines: Iterable[bytes], wreck: Wreck, max_body: int) -> Iterator[Letter]:
    """Write a letter for each row in what Firehose could not convert: one document a record, and many rows in it."""
    empty = True
    for line in lines:
        for document in _split(line):
            empty = False
            try:
                undelivered = _undelivered(document)
            except _UNREADABLE as error:
                yield _unreadable(document, str(error), wreck, max_body)
                continue
            yield from _read_pack(undelivered, wreck, max_body)
    if empty:
        yield _unreadable(b"", "the object is empty", wreck, max_body)


def _read_pack(undelivered: _Undelivered, wreck: Wreck, max_body: int) -> Iterator[Letter]:
    """Write a letter for each row of a pack; lines that are none and lie together are one."""
    said = f"{MEANINGS['delivery_failed']}: {undelivered.tell()}"

    def write(body: bytes, detail: str, **known: Any) -> Letter:
        return write_letter(
            reason="delivery_failed",
            detail=detail,
            body=body,
            max_body=max_body,
            consumer=ARCHIVE,
            failed_at=wreck.written_at,
            attempts=undelivered.attempts_made,
            **known,
        )

    strange: list[bytes] = []
    told = False
    for line in undelivered.raw_data.splitlines(keepends=True):
        try:
            row = _row(line)
        except _UNREADABLE:
            strange.append(line)
            continue
        if b"".join(strange).strip():
            yield write(b"".join(strange), f"{said}; this is no row of ours")
        strange, told = [], True
        yield write(row.event.encode(), said, **_tell(row))
    if b"".join(strange).strip() or not told:
        yield write(b"".join(strange), f"{said}; this is no row of ours")


def _tell(row: _Row) -> dict[str, Any]:
    known = {name: value for name, value in msgspec.structs.asdict(row).items() if name != "event"}
    return {
        name: _fitting(value, _NUMBERS[name]) if name in _NUMBERS else short_text(value)
        for name, value in known.items()
    }


def _fitting(value: object, bits: int) -> int | None:
    return value if type(value) is int and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1) else None


def _split(line: bytes) -> Iterator[bytes]:
    """Take the documents of a line apart: mostly it is one, but nobody promises that a line ends behind each."""
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        pass
    else:
        yield line
        return
    text, at = line.decode("utf-8", "surrogateescape"), 0
    while at < len(text):
        if text[at] in _WHITE:
            at += 1
            continue
        try:
            document, end = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            # What is no document cannot be told from what follows it.
            end = len(text)
        yield text[at:end].encode("utf-8", "surrogateescape")
        at = end


def _unreadable(data: bytes, why: str, wreck: Wreck, max_body: int) -> Letter:
    """Write the one letter of what is no form of anybody's; all of it is kept where the letter says."""
    return write_letter(
        reason="unreadable_object",
        detail=f"{MEANINGS['unreadable_object']}: {why}; it is kept as {wreck.kept_as}",
        body=data,
        max_body=max_body,
        consumer=SALVAGE,
        failed_at=wreck.written_at,
    )
