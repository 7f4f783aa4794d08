"""Events that were given up outside our handlers: each becomes one dead letter.

Two forms exist: the batch that Lambda stores when it gives up, and the records that Firehose could not convert to rows.
Unreadable content becomes a letter as well, with its bytes: reading never fails.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec

from sluice.core.archive.rows import Row
from sluice.core.consumers import ARCHIVE, RAW_EVENTS
from sluice.core.errors import Ahead, Poison
from sluice.core.failures.letters import BigInt, Int, Letter, about_record, short_text, write_letter
from sluice.core.records import KafkaRecord, Origin, read_headers

# Lambda documents the first and the last of these; RecordAgeExceeded has been observed.
REASONS = {
    "RetryAttemptsExhausted": "retries_exhausted",
    "RetriesExhausted": "retries_exhausted",
    "RecordAgeExceeded": "expired",
    "MaximumPayloadSizeExceeded": "too_large",
}
MEANINGS = {
    "expired": "it waited for longer than an event may",
    "retries_exhausted": "every try that it had failed",
    "too_large": "it does not fit into one invocation",
    "given_up": "it was given up for a reason that is not known here",
    "delivery_failed": "the delivery stream made no row of it",
    "unreadable_object": "what was left of it cannot be read",
}
"""Every reason of the letters written here, and its text for people."""

GIVEN_UP = frozenset(MEANINGS) - {"unreadable_object"} | {Ahead.reason}
"""Reasons of records that their consumer could have processed, with more time or room, or in a later release."""

SALVAGE = "salvage"

_FUNCTION = r"^arn:[^:]*:lambda:[^:]*:[^:]*:function:[A-Za-z0-9_-]{1,64}(:[^:]*)?$"
_WHITE = " \t\r\n"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Attempts = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class FailedObject(msgspec.Struct, frozen=True):
    """An object to salvage: where it is stored, and when it was written."""

    kept_as: str
    written_at: datetime


class _Context(msgspec.Struct, frozen=True, rename="camel"):
    function_arn: Annotated[str, msgspec.Meta(pattern=_FUNCTION)]
    condition: str
    approximate_invoke_count: Attempts = 0


class _Batch(msgspec.Struct, frozen=True, rename="camel"):
    """What Lambda stores of a failed batch; the payload is the whole event as JSON text."""

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
    """What Firehose stores of a failed record: its documentation and its objects name the error differently."""

    raw_data: bytes
    attempts_made: Attempts = 1
    code: str | None = msgspec.field(default=None, name="ErrorCode")
    message: str | None = msgspec.field(default=None, name="ErrorMessage")
    last_error_code: str | None = None
    last_error_message: str | None = None


# Members that a letter and a row share. A value is taken only if the letter's column can hold it: a wrong type may be
# the reason why the row is not in its table.
_TOLD = {
    field.name: field.type
    for field in msgspec.structs.fields(Letter)
    if field.name in Row.__struct_fields__ and field.name != "event"
}


class GivenUp(Poison):
    """A record that was given up, before or after a consumer tried it."""

    def __init__(self, detail: str, reason: str, attempts: int) -> None:
        super().__init__(detail)
        self.reason = reason
        self.attempts = attempts


# Not strict: Firehose documents some of its numbers as texts.
_batch = msgspec.json.Decoder(_Batch, strict=False).decode
_event = msgspec.json.Decoder(_Event).decode
_record = msgspec.json.Decoder(_Record).decode
_undelivered = msgspec.json.Decoder(_Undelivered, strict=False).decode
_decoder = json.JSONDecoder()


def read_batch(data: bytes, failed: FailedObject) -> Iterator[Letter]:
    """Write a letter for each record of a batch that Lambda gave up."""
    try:
        batch = _batch(data)
        records = [record for records in _event(batch.payload).records.values() for record in records]
    except _UNREADABLE as error:
        yield _unreadable(data, str(error), failed)
        return
    if not records:
        yield _unreadable(data, "it contains no record", failed)
    context = batch.request_context
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
                consumer=consumer,
                failed_at=failed.written_at,
                attempts=context.approximate_invoke_count,
            )
            continue
        yield about_record(
            KafkaRecord(
                Origin(record.topic, record.partition, record.offset),
                record.value or b"",
                read_headers(record.headers or ()),
            ),
            GivenUp(said, reason, context.approximate_invoke_count),
            consumer,
            failed.written_at,
        )


def read_output(lines: Iterable[bytes], failed: FailedObject) -> Iterator[Letter]:
    """Write a letter for each row that Firehose could not convert: one document per record, each with many rows."""
    empty = True
    for line in lines:
        for document in _split(line):
            empty = False
            try:
                undelivered = _undelivered(document)
            except _UNREADABLE as error:
                yield _unreadable(document, str(error), failed)
                continue
            yield from _read_pack(undelivered, failed)
    if empty:
        yield _unreadable(b"", "the object is empty", failed)


def _read_pack(undelivered: _Undelivered, failed: FailedObject) -> Iterator[Letter]:
    """Write a letter for each row of a pack; adjacent lines that are not rows become one letter."""
    code = undelivered.code or undelivered.last_error_code
    message = undelivered.message or undelivered.last_error_message
    said = f"{MEANINGS['delivery_failed']}: {code}: {message}"

    def write(body: bytes, detail: str, **known: Any) -> Letter:
        return write_letter(
            reason="delivery_failed",
            detail=detail,
            body=body,
            consumer=ARCHIVE.name,
            failed_at=failed.written_at,
            attempts=undelivered.attempts_made,
            **known,
        )

    strange: list[bytes] = []
    told = False
    for line in undelivered.raw_data.splitlines(keepends=True):
        row = _read_row(line)
        if row is None:
            strange.append(line)
            continue
        if b"".join(strange).strip():
            yield write(b"".join(strange), f"{said}; this is not a row of ours")
        strange, told = [], True
        yield write(row["event"].encode(), said, **_tell(row))
    if b"".join(strange).strip() or not told:
        yield write(b"".join(strange), f"{said}; this is not a row of ours")


def _read_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = msgspec.json.decode(line)
    except _UNREADABLE:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("event"), str):
        return None
    # A row does not name the topic that nearly all rows are of. reconcile counts a letter only with its topic.
    return row if row.get("kafka_topic") is not None else row | {"kafka_topic": RAW_EVENTS}


def _tell(row: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, kind in _TOLD.items():
        value = row.get(name)
        # A text that is not short and printable becomes None; any other value that does not fit the column is left out.
        with contextlib.suppress(msgspec.ValidationError):
            known[name] = msgspec.convert(short_text(value) if isinstance(value, str) else value, kind)
    return known


def _split(line: bytes) -> Iterator[bytes]:
    """Split a line into its documents: usually one, but a line break after each is not guaranteed."""
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
            # The end of an invalid document is unknown, so the rest of the line belongs to it.
            end = len(text)
        yield text[at:end].encode("utf-8", "surrogateescape")
        at = end


def _unreadable(data: bytes, why: str, failed: FailedObject) -> Letter:
    """Write one letter for an object of unknown form; the letter says where the whole object is kept."""
    return write_letter(
        reason="unreadable_object",
        detail=f"{MEANINGS['unreadable_object']}: {why}; it is kept as {failed.kept_as}",
        body=data,
        consumer=SALVAGE,
        failed_at=failed.written_at,
    )
