"""The row of the raw table that an event becomes. The field order is the table's column order."""

import msgspec

from sluice.core.events.contracts import Contracts
from sluice.core.events.stored import read_stored
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord
from sluice.core.times import day_of, write_time


class Row(msgspec.Struct, frozen=True):
    """One event of the raw table: columns to find it by, the event as sent, and its place in the ledger."""

    fleet_id: str
    device_id: str
    event_id: str
    contract: str
    schema_version: int
    firmware: str | None
    event_type: str
    event_time: str
    event_date: str
    received_at: str
    flags: tuple[str, ...]
    metrics: dict[str, float]
    event: str
    correlation_id: str
    kafka_topic: str
    kafka_partition: int
    kafka_offset: int


def make_row(record: KafkaRecord, contracts: Contracts, limits: Limits) -> Row:
    """Turn a record into its row; what the edge could not have accepted is poison."""
    stored = read_stored(record, contracts, limits)
    envelope, facts = stored.envelope, stored.facts
    return Row(
        fleet_id=envelope.fleet_id,
        device_id=facts.device_id,
        event_id=facts.event_id,
        contract=facts.contract,
        schema_version=facts.schema_version,
        firmware=facts.firmware,
        event_type=facts.event_type,
        event_time=write_time(facts.event_time),
        event_date=day_of(facts.event_time).isoformat(),
        received_at=write_time(envelope.received_at),
        flags=envelope.flags,
        metrics=facts.metrics,
        event=record.value.decode(),
        correlation_id=envelope.correlation_id,
        kafka_topic=record.origin.topic,
        kafka_partition=record.origin.partition,
        kafka_offset=record.origin.offset,
    )
