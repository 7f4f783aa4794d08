"""The verdict on one event: the Kafka record it becomes, or why it is rejected."""

from datetime import timedelta

import msgspec

from sluice.core.contracts import Contracts
from sluice.core.envelope import VERSION, Envelope, write_envelope
from sluice.core.errors import Rejection
from sluice.core.requests import Request
from sluice.core.times import time_flags

_decode = msgspec.json.Decoder().decode


class Record(msgspec.Struct, frozen=True):
    """An accepted event on its way to the broker."""

    key: bytes
    value: bytes
    envelope: bytes


class Limits(msgspec.Struct, frozen=True):
    """The figures an event is judged by."""

    max_body: int = 1024 * 1024
    max_inflated: int = 4 * 1024 * 1024
    max_event: int = 32 * 1024
    max_events: int = 100
    clock_ahead: timedelta = timedelta(minutes=5)
    late: timedelta = timedelta(hours=1)


class Verdict(msgspec.Struct, frozen=True):
    """Exactly one of record and rejection, and the event's id as far as it could be read."""

    event_id: str | None
    record: Record | None = None
    rejection: Rejection | None = None


def judge(
    slice_: bytes, contract: str, fleet_id: str, request: Request, contracts: Contracts, limits: Limits
) -> Verdict:
    """Decide on one event by its contract."""
    event_id: str | None = None
    try:
        document = _parse(slice_, limits.max_event)
        event_id = _claimed_id(document)
        facts = contracts.read(contract, fleet_id, slice_, document)
    except Rejection as rejection:
        return Verdict(event_id, rejection=rejection)
    envelope = Envelope(
        version=VERSION,
        received_at=request.received_at,
        fleet_id=fleet_id,
        contract=contract,
        schema_version=facts.schema_version,
        flags=time_flags(facts.event_time, request.received_at, limits.clock_ahead, limits.late),
        correlation_id=request.correlation_id,
    )
    return Verdict(
        event_id if event_id is not None else facts.event_id,
        record=Record(facts.device_id.encode(), slice_, write_envelope(envelope)),
    )


def _parse(slice_: bytes, max_event: int) -> object:
    if len(slice_) > max_event:
        raise Rejection("event_too_large", f"The event has {len(slice_)} bytes; {max_event} is the most that is taken.")
    try:
        return _decode(slice_)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejection("malformed_json", f"The event cannot be read as JSON: {error}.") from error


def _claimed_id(document: object) -> str | None:
    claimed = document.get("event_id") if isinstance(document, dict) else None
    return claimed if isinstance(claimed, str) and len(claimed) <= 128 else None
