"""Kafka records from Lambda's event source, read into plain values."""

from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

RERUN = "rerun"
"""The extra field of an event that a function of ours wrote: its first offset."""
REDRIVE = "redrive"
"""The extra field of an event whose records were dead letters. What fails again is named in the answer."""

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


class Origin(msgspec.Struct, frozen=True, order=True):
    """A record's place in the ledger."""

    topic: str
    partition: int
    offset: int


class KafkaRecord(msgspec.Struct, frozen=True):
    """One record of a batch."""

    origin: Origin
    value: bytes
    headers: dict[str, bytes]


def read_records(event: Mapping[str, Any]) -> Iterator[KafkaRecord]:
    """Read a batch: partition by partition, each in offset order."""
    for records in event["records"].values():
        for record in records:
            yield KafkaRecord(
                Origin(record["topic"], record["partition"], record["offset"]),
                a2b_base64(record.get("value") or ""),
                read_headers(record.get("headers") or ()),
            )


def read_headers(headers: Iterable[Mapping[str, Sequence[int] | None]]) -> dict[str, bytes]:
    """Read a record's headers; among headers with the same name the last counts."""
    return {name: _read_header(value) for header in headers for name, value in header.items()}


def _read_header(value: Sequence[int] | None) -> bytes:
    try:
        return bytes(value or ())
    except ValueError:
        # Lambda writes header bytes as Java's signed bytes, from -128 to 127; our headers are mostly ASCII.
        return bytes(byte & 0xFF for byte in value or ())


def report_failures(failed: Iterable[Origin]) -> dict[str, Any]:
    """Name the first failed record of each partition; the event source retries from there."""
    return {
        "batchItemFailures": [
            {"itemIdentifier": {"partition": f"{topic}-{partition}", "offset": offset}}
            for (topic, partition), offset in sorted(first_failures(failed).items())
        ]
    }


def first_failures(failed: Iterable[Origin]) -> dict[Partition, int]:
    """Return the first failed offset of each partition that has one; records after it are delivered again too."""
    first: dict[Partition, int] = {}
    for origin in failed:
        partition = (origin.topic, origin.partition)
        first[partition] = min(origin.offset, first.get(partition, origin.offset))
    return first
