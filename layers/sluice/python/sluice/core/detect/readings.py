"""The readings of an accepted event, read as cheaply as they can be: their contract was checked when they came in.

Late events, events of a clock ahead and redriven ones are about another time than now: nothing is read of them.
"""

from datetime import datetime

import msgspec

from sluice.core.errors import Poison, Rejection
from sluice.core.events.contracts import READING, TELEMETRY, Contracts
from sluice.core.events.envelope import HEADER, REDRIVEN, Envelope, read_envelope
from sluice.core.events.identity import same_id
from sluice.core.events.reception import check_reception
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL, parse_time, time_flags

NOT_JUDGED = frozenset({REDRIVEN, CLOCK_AHEAD, LATE_ARRIVAL})


class Readings(msgspec.Struct, frozen=True):
    """The readings of one event, by series and in its unit."""

    origin: Origin
    fleet_id: str
    device_id: str
    event_id: str
    at: datetime
    received_at: datetime
    firmware: str
    correlation_id: str
    metrics: dict[str, float]


class _Telemetry(msgspec.Struct):
    event_id: str
    device_id: str
    device_firmware_version: str
    timestamp: str
    metrics: dict[str, float]


class _Reading(msgspec.Struct):
    event_id: str
    device_id: str
    event_time: str
    sensor_type: str
    value: float
    unit: str
    firmware_version: str | None = None


_decode_telemetry = msgspec.json.Decoder(_Telemetry).decode
_decode_reading = msgspec.json.Decoder(_Reading).decode


def read_readings(record: KafkaRecord, contracts: Contracts, limits: Limits, now: datetime) -> Readings | None:
    """Read one record; None if nothing of it is judged, Poison or Ahead if it cannot be read."""
    envelope = read_envelope(record.headers.get(HEADER))
    check_reception(envelope.received_at, now)
    if not NOT_JUDGED.isdisjoint(envelope.flags):
        return None
    contracts.require(envelope.contract, envelope.schema_version)
    if envelope.contract not in (TELEMETRY, READING):
        return None
    try:
        found = _read_body(record, envelope, contracts)
    except (Rejection, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Poison(f"the event breaks {envelope.contract} {envelope.schema_version}: {error}") from error
    flags = time_flags(found.at, envelope.received_at, limits.clock_ahead, limits.late)
    return found if not flags else None


def first_of_each(readings: list[Readings]) -> list[Readings]:
    """Leave out events that repeat an earlier one of the same device."""
    firsts: dict[str, Readings] = {}
    for one in readings:
        firsts.setdefault(one.event_id, one)
    return readings if len(firsts) == len(readings) else list(firsts.values())


def _read_body(record: KafkaRecord, envelope: Envelope, contracts: Contracts) -> Readings:
    if envelope.contract == TELEMETRY:
        sent = _decode_telemetry(record.value)
        device_id, event_id, time, firmware = (
            sent.device_id,
            sent.event_id,
            sent.timestamp,
            sent.device_firmware_version,
        )
        metrics = contracts.series_in(envelope.schema_version, sent.metrics)
    else:
        one = _decode_reading(record.value)
        device_id, event_id, time, firmware = one.device_id, one.event_id, one.event_time, one.firmware_version or ""
        # A release may also add series and units, which have no version.
        contracts.book.require(one.sensor_type, one.unit)
        metrics = {one.sensor_type: contracts.book.in_series_unit(one.sensor_type, one.value, one.unit)}
    return Readings(
        record.origin,
        envelope.fleet_id,
        device_id,
        same_id(event_id),
        parse_time(time),
        envelope.received_at,
        firmware,
        envelope.correlation_id,
        metrics,
    )
