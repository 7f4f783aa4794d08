"""The row that an event becomes in the raw table, and the delivery records that carry rows."""

from collections.abc import Iterable, Iterator

import msgspec

from sluice.core.consumers import RAW_EVENTS
from sluice.core.errors import Poison
from sluice.core.events.contracts import TELEMETRY, Contracts
from sluice.core.events.stored import StoredEvent, read_stored
from sluice.core.pieces import cut
from sluice.core.records import KafkaRecord, Origin
from sluice.core.times import write_time

MAX_RECORD = 1000 * 1024  # what the delivery stream takes as one record


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of the raw table: columns to find it by, the event as sent, and its place in the ledger.

    The field order is the table's column order. The delivery stream bills the bytes: what follows from the rest is None
    and not written, and the view `stored_events` derives it. Only files of earlier releases have `event_date`.
    """

    fleet_id: str
    device_id: str
    event_id: str
    contract: str
    schema_version: int
    firmware: str | None = None
    event_type: str
    event_time: str
    received_at: str
    flags: tuple[str, ...] | None = None
    metrics: dict[str, float] | None = None
    """None for the numbers under `metrics` in the event itself."""
    event: str
    correlation_id: str
    kafka_topic: str | None = None
    """None for raw-events."""
    kafka_partition: int
    kafka_offset: int


class Pack(msgspec.Struct, frozen=True):
    """One delivery record: JSON lines, and which records of the ledger they hold."""

    data: bytes
    origins: tuple[Origin, ...]


def make_row(record: KafkaRecord, contracts: Contracts) -> Row:
    """Turn a record into its row. A record that the edge could not have accepted is poison."""
    stored = read_stored(record, contracts)
    envelope, facts = stored.envelope, stored.facts
    try:
        received_at = write_time(envelope.received_at)
    except OverflowError as error:
        raise Poison(f"the event was received at {envelope.received_at}, which is no time in UTC") from error
    return Row(
        fleet_id=envelope.fleet_id,
        device_id=facts.device_id,
        event_id=facts.event_id,
        contract=facts.contract,
        schema_version=facts.schema_version,
        firmware=facts.firmware,
        event_type=facts.event_type,
        event_time=write_time(facts.event_time),
        received_at=received_at,
        flags=envelope.flags or None,
        metrics=_metrics_to_write(stored),
        event=record.value.decode(),
        correlation_id=envelope.correlation_id,
        kafka_topic=None if record.origin.topic == RAW_EVENTS else record.origin.topic,
        kafka_partition=record.origin.partition,
        kafka_offset=record.origin.offset,
    )


def _metrics_to_write(stored: StoredEvent) -> dict[str, float] | None:
    """Return an event's metrics where the view would not find the same ones in the event."""
    sent = stored.document.get("metrics") if stored.facts.contract == TELEMETRY else {}
    return None if stored.facts.metrics == sent else stored.facts.metrics


def pack_rows(rows: Iterable[tuple[Origin, Row]], max_record: int = MAX_RECORD) -> Iterator[Pack]:
    """Pack rows, in order, into as few delivery records as possible: each is billed rounded up to 5 KB."""
    lines = ((origin, msgspec.json.encode(row) + b"\n") for origin, row in rows)
    for piece in cut(lines, lambda line: len(line[1]), max_record):
        origins, data = zip(*piece, strict=True)
        yield Pack(b"".join(data), origins)
