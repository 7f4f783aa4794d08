"""How aggregation reads a stored event: its numbers and their time, or the reason why it has none."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.errors import Ahead, Fault
from sluice.core.events.contracts import Contracts
from sluice.core.events.envelope import HEADER, REDRIVEN, read_head
from sluice.core.events.identity import event_key
from sluice.core.events.reception import check_reception, is_credible
from sluice.core.events.stored import read_stored
from sluice.core.ledger.groups import LedgerGroup, hour_of
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL, time_flags

# Devices name these fields: only the most frequent of a batch are listed, so that they cannot fill the database.
MAX_UNDECLARED = 20
MAX_FIELD = 80
OTHERS = "…"


class Event(msgspec.Struct, frozen=True):
    """One event as aggregation sees it."""

    origin: Origin
    fleet_id: str
    device_id: str
    key: bytes
    received_at: datetime
    effective_time: datetime
    ahead: bool
    late: bool
    group: LedgerGroup
    event_type: str
    firmware: str
    metrics: dict[str, float]
    undeclared: Sequence[str]
    redriven: bool = False
    """Whether it was a dead letter first: then its age says nothing about the pipeline."""


class Unreadable(msgspec.Struct, frozen=True):
    """A record whose dead letter is stored, with its ledger group as far as it can be read."""

    origin: Origin
    group: LedgerGroup
    received_at: datetime | None = None
    """None if the record does not say it, or if it cannot be true."""
    ahead: bool = False
    """Whether a newer release can read it; until then its windows lack it."""


def read_event(record: KafkaRecord, contracts: Contracts, limits: Limits, now: datetime) -> Event:
    """Read one record; what the edge cannot have accepted is poison."""
    stored = read_stored(record, contracts)
    envelope, facts = stored.envelope, stored.facts
    received_at = envelope.received_at
    check_reception(received_at, now)
    flags = {*envelope.flags, *time_flags(facts.event_time, received_at, limits.clock_ahead, limits.late)}
    ahead = CLOCK_AHEAD in flags
    return Event(
        origin=record.origin,
        fleet_id=envelope.fleet_id,
        device_id=facts.device_id,
        key=event_key(facts.event_id),
        received_at=received_at,
        effective_time=received_at if ahead else facts.event_time,
        ahead=ahead,
        late=LATE_ARRIVAL in flags,
        group=LedgerGroup(envelope.fleet_id, hour_of(received_at), facts.contract, facts.schema_version),
        event_type=facts.event_type,
        firmware=facts.firmware or "",
        metrics=contracts.series_of(facts),
        undeclared=contracts.undeclared(facts, stored.document),
        redriven=REDRIVEN in flags,
    )


def first_of_each(events: Iterable[Event]) -> list[Event]:
    """Leave out events that repeat an earlier one: same fleet, device and id."""
    firsts: dict[tuple[str, str, bytes], Event] = {}
    for event in events:
        firsts.setdefault((event.fleet_id, event.device_id, event.key), event)
    return list(firsts.values())


def count_undeclared(events: Iterable[Event]) -> Counter[tuple[LedgerGroup, str]]:
    """Count the events with each undeclared field; beyond the most frequent, fields are counted together."""
    fields: defaultdict[LedgerGroup, Counter[str]] = defaultdict(Counter)
    for event in events:
        if event.undeclared:
            fields[event.group].update(event.undeclared)
    counts: Counter[tuple[LedgerGroup, str]] = Counter()
    for group, found in fields.items():
        for place, (field, times) in enumerate(found.most_common()):
            listed = place < MAX_UNDECLARED and len(field) <= MAX_FIELD and field.isprintable()
            counts[group, field if listed else OTHERS] += times
    return counts


def lookback(limits: Limits) -> timedelta:
    """Return how long ago an event may first have arrived, under another time, and still be recognized."""
    return limits.late + timedelta(hours=1) + limits.clock_ahead


def put_down(record: KafkaRecord, fault: Fault, now: datetime) -> Unreadable:
    """Return what a quarantined record is counted under, as far as its envelope can be read."""
    try:
        head = read_head(record.headers.get(HEADER))
    except Exception:  # noqa: BLE001 - a record is counted even if it is unreadable
        return Unreadable(record.origin, LedgerGroup("", hour_of(now), "", 0))
    # A record delivered again must not look like another topic's.
    received_at = head.received_at if is_credible(head.received_at, now) else None
    contract = head.contract[:64].replace("\0", "")
    group = LedgerGroup(head.fleet_id, hour_of(received_at or now), contract, head.schema_version)
    return Unreadable(record.origin, group, received_at, isinstance(fault, Ahead))
