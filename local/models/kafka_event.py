"""The two ends of an invocation by a Kafka event source: records as an event, an answer as what to try again."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

#: What an invocation carries, less what surrounds the records.
PAYLOAD_BYTES = 6 * 1024 * 1024 - 4096

_TIMESTAMP_TYPES = {0: "NO_TIMESTAMP_TYPE", 1: "CREATE_TIME", 2: "LOG_APPEND_TIME"}


@dataclass(frozen=True)
class Record:
    """One Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    @property
    def payload_bytes(self) -> int:
        """At most what the record takes in an event: base64 for key and value, five characters for a header's byte."""
        encoded = (len(self.key or b"") + len(self.value or b"")) * 4 // 3
        headers = sum(len(name) + 8 + 5 * len(value or b"") for name, value in self.headers)
        return encoded + headers + len(self.topic) + 200


def place(record: Record) -> str:
    """Topic and partition as events and answers name them."""
    return f"{record.topic}-{record.partition}"


def event(records: Iterable[Record], cluster_arn: str, bootstrap: str) -> bytes:
    """The event a function gets."""
    by_place: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_place.setdefault(place(record), []).append(_described(record))
    return msgspec.json.encode(
        {
            "eventSource": "aws:kafka",
            "eventSourceArn": cluster_arn,
            "bootstrapServers": bootstrap,
            "records": by_place,
        }
    )


def _described(record: Record) -> dict[str, Any]:
    described: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestampType": _TIMESTAMP_TYPES[record.timestamp_type],
    }
    if record.key is not None:
        described["key"] = base64.b64encode(record.key).decode()
    if record.value is not None:
        described["value"] = base64.b64encode(record.value).decode()
    # Lambda is a Java program here: a header's bytes are signed numbers.
    described["headers"] = [
        {name: [byte - 256 if byte > 127 else byte for byte in value or b""]} for name, value in record.headers
    ]
    return described


def unprocessed(answer: bytes, records: Sequence[Record]) -> list[Record]:
    """What has to be tried again by an answer with partial failures: from each partition's first failed offset on.

    No answer, an empty one, or an empty or null list is success. An answer of another shape, or one that names a record
    which is not in the batch, fails the whole batch.
    """
    try:
        decoded = msgspec.json.decode(answer) if answer.strip() else None
    except msgspec.DecodeError:
        return list(records)
    if not isinstance(decoded, Mapping):
        return [] if decoded is None else list(records)
    failures = decoded.get("batchItemFailures")
    if failures is None or failures == []:
        return []
    first = _first_failures(failures, {(place(record), record.offset) for record in records})
    if first is None:
        return list(records)
    return [record for record in records if place(record) in first and record.offset >= first[place(record)]]


def _first_failures(failures: Any, known: set[tuple[str, int]]) -> dict[str, int] | None:
    """The lowest failed offset of each partition; None where a failure cannot be understood."""
    if not isinstance(failures, list):
        return None
    first: dict[str, int] = {}
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, Mapping) else None
        if not isinstance(identifier, Mapping):
            return None
        partition, offset = identifier.get("partition"), identifier.get("offset")
        if not isinstance(partition, str) or not isinstance(offset, int) or (partition, offset) not in known:
            return None
        first[partition] = min(offset, first.get(partition, offset))
    return first
