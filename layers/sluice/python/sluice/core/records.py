"""Kafka records as Lambda's event source hands them over, read into plain values."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

RERUN = "rerun"
"""The field that an event has beside the event source's own if reconcile wrote it: its first offset."""

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


class Origin(msgspec.Struct, frozen=True, order=True):
    """Where a record stands in the ledger."""

    topic: str
    partition: int
    offset: int


class KafkaRecord(msgspec.Struct, frozen=True):
    """One record of a batch."""

    origin: Origin
    value: bytes
    headers: dict[str, bytes]


def read_records(event: Mapping[str, Any]) -> Iterator[KafkaRecord]:
    """Read a batch: partition by partition, each in the order of its offsets."""
    for records in event["records"].values():
        for record in records:
            yield KafkaRecord(
                Origin(record["topic"], record["partition"], record["offset"]),
                base64.b64decode(record.get("value") or ""),
                read_headers(record.get("headers") or ()),
            )


def read_headers(headers: Iterable[Mapping[str, Sequence[int] | None]]) -> dict[str, bytes]:
    """Read a record's headers; of those with one name the last counts."""
    return {name: _read_header(value) for header in headers for name, value in header.items()}


def _read_header(value: Sequence[int] | None) -> bytes:
    try:
        return bytes(value or ())
    except ValueError:
        # Lambda writes header bytes as Java has them, from -128 to 127; a header of ours seldom leaves ASCII.
        return bytes(byte & 0xFF for byte in value or ())


def report_failures(failed: Iterable[Origin]) -> dict[str, Any]:
    """Name the first failed record of each partition; the event source starts again from there."""
    return {
        "batchItemFailures": [
            {"itemIdentifier": {"partition": f"{topic}-{partition}", "offset": offset}}
            for (topic, partition), offset in sorted(first_failures(failed).items())
        ]
    }


def first_failures(failed: Iterable[Origin]) -> dict[Partition, int]:
    """Return the first failed offset of each partition that has one: what stands behind it comes again too."""
    first: dict[Partition, int] = {}
    for origin in failed:
        partition = (origin.topic, origin.partition)
        first[partition] = min(origin.offset, first.get(partition, origin.offset))
    return first
