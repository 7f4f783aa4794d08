"""Accepted events, read back from their stored records."""

from typing import Any

import msgspec

from sluice.core.errors import Poison, Rejection
from sluice.core.events.contracts import Contracts, Facts
from sluice.core.events.envelope import HEADER, Envelope, read_envelope
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord

MAX_EVENT = Limits().max_event

_decode = msgspec.json.Decoder().decode


class StoredEvent(msgspec.Struct, frozen=True):
    """An event, its content in our terms, and what was known when it was accepted."""

    envelope: Envelope
    facts: Facts
    document: dict[str, Any]


def read_stored(record: KafkaRecord, contracts: Contracts) -> StoredEvent:
    """Read a record by the versions that its envelope names; what the edge cannot have accepted is poison."""
    envelope = read_envelope(record.headers.get(HEADER))
    if len(record.value) > MAX_EVENT:
        # Another release may take larger events.
        contracts.require(envelope.contract, envelope.schema_version)
        raise Poison(f"the event has {len(record.value)} bytes; the edge takes {MAX_EVENT} at most")
    try:
        document = _decode(record.value)
        facts = contracts.read(envelope.contract, envelope.schema_version, envelope.fleet_id, record.value, document)
    except (Rejection, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Poison(f"the event breaks {envelope.contract} {envelope.schema_version}: {error}") from error
    return StoredEvent(envelope, facts, document)
