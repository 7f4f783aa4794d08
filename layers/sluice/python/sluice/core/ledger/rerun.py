"""Running a consumer again from offsets: records become the event that its event source would send."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.events.contracts import Contracts
from sluice.core.events.envelope import HEADER, read_head
from sluice.core.events.stored import read_stored
from sluice.core.failures.rejected import RejectedRecord
from sluice.core.records import REDRIVE, RERUN, KafkaRecord, Origin

# The payload limit of an invocation, less the envelope around the records.
MOST_BYTES = 6 * 1024 * 1024 - 4096
MOST_RECORDS = 10_000

CREATE_TIME = 1
_TIMESTAMP_TYPES = {0: "NO_TIMESTAMP_TYPE", CREATE_TIME: "CREATE_TIME", 2: "LOG_APPEND_TIME"}


class ReadRecord(msgspec.Struct, frozen=True):
    """One record as Kafka has it."""

    origin: Origin
    timestamp_type: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]

    @property
    def payload_bytes(self) -> int:
        """Return its maximum size in an event: base64, and five characters per header byte."""
        headers = sum(len(name) + 8 + 5 * len(value or b"") for name, value in self.headers)
        return (len(self.key or b"") + len(self.value or b"")) * 4 // 3 + headers + 280


class MissingEvent(msgspec.Struct, frozen=True):
    """An event that a consumer has not accounted for, as far as its record can be read."""

    origin: Origin
    fleet_id: str
    device_id: str | None
    event_id: str | None
    received_at: datetime | None


class _Place(msgspec.Struct, frozen=True):
    offset: int


class _Failure(msgspec.Struct, frozen=True, rename="camel"):
    item_identifier: _Place


class Taken(msgspec.Struct, frozen=True, rename="camel"):
    """A consumer's answer to one partition's records."""

    batch_item_failures: tuple[_Failure, ...]
    rejected: tuple[RejectedRecord, ...] | None = None
    """Of a re-drive; None if the consumer is of a release that does not know re-drives, and wrote dead letters."""

    def failed_at(self) -> int | None:
        """Return the first offset that must be retried."""
        return min((failure.item_identifier.offset for failure in self.batch_item_failures), default=None)


def write_event(records: Sequence[ReadRecord], cluster_arn: str, bootstrap: str, *, redriven: bool = False) -> bytes:
    """Write records of one partition as the event source does, marked as a rerun, and perhaps as a re-drive."""
    origin = records[0].origin
    described = [_describe(record) for record in records]
    return msgspec.json.encode(
        {
            "eventSource": "aws:kafka",
            "eventSourceArn": cluster_arn,
            "bootstrapServers": bootstrap,
            RERUN: origin.offset,
            **({REDRIVE: True} if redriven else {}),
            "records": {f"{origin.topic}-{origin.partition}": described},
        }
    )


def name_event(record: ReadRecord, contracts: Contracts) -> MissingEvent:
    """Name the event of a record; an unreadable record stays unnamed."""
    headers = {name: value or b"" for name, value in record.headers}
    try:
        head = read_head(headers.get(HEADER))
    except Exception:  # noqa: BLE001 - an unreadable name must not prevent the rerun
        return MissingEvent(record.origin, "", None, None, None)
    try:
        facts = read_stored(KafkaRecord(record.origin, record.value or b"", headers), contracts).facts
    except Exception:  # noqa: BLE001 - as above
        return MissingEvent(record.origin, head.fleet_id, None, None, head.received_at)
    return MissingEvent(record.origin, head.fleet_id, facts.device_id, facts.event_id, head.received_at)


def _describe(record: ReadRecord) -> dict[str, Any]:
    described: dict[str, Any] = {
        "topic": record.origin.topic,
        "partition": record.origin.partition,
        "offset": record.origin.offset,
        "timestamp": record.timestamp,
        "timestampType": _TIMESTAMP_TYPES[record.timestamp_type],
    }
    for name, value in (("key", record.key), ("value", record.value)):
        if value is not None:
            described[name] = base64.b64encode(value).decode()
    # Lambda writes header bytes as Java's signed numbers.
    described["headers"] = [
        {name: [byte - 256 if byte > 127 else byte for byte in value or b""]} for name, value in record.headers
    ]
    return described
