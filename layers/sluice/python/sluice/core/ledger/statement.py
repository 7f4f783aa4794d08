"""The statement of a day: of every accepted event what became of it, and whether the accounts agree.

Each consumer accounts for what it has dealt with by itself. A fleet's accepted events are as many as the consumer that
is furthest ahead has seen; what another consumer has not seen is on its way to it, or missing. Of all fleets together
the brokers say how many were accepted, and that is held against what each consumer has covered.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from sluice.core.consumers import ACCOUNTED
from sluice.core.ledger.outcomes import INGEST, REJECTED

NOT_YET = "not_yet"
"""What a consumer that is further ahead has seen, and this one has not."""

State = Literal["balanced", "in_flight", "missing", "unbalanced"]

SETTLED = timedelta(hours=7)
"""So long after a day nothing of it is on its way: Kafka keeps it for six hours, and archive's grace is one."""


class Tally(msgspec.Struct, frozen=True):
    """How many events of a fleet one thing happened to."""

    fleet_id: str
    consumer: str
    outcome: str
    events: int


class Missing(msgspec.Struct, frozen=True):
    """An event that a consumer should have accounted for, and has not."""

    consumer: str
    fleet_id: str
    device_id: str | None
    event_id: str | None
    received_at: str | None
    kafka_partition: int
    kafka_offset: int
    in_kafka: bool
    """Whether it can still be read there and run again."""


class Position(msgspec.Struct, frozen=True):
    """How far a consumer is with everything that was ever accepted, of all fleets."""

    consumer: str
    accepted: int
    covered: int
    in_flight: int
    """Not committed yet."""
    under_way: int
    """Committed, and not found yet where it should soon be."""
    missing: int
    lost: int
    """Of the missing, those that Kafka no longer has."""


class Facts(msgspec.Struct, frozen=True):
    """What a statement is drawn up from."""

    as_of: str | None
    tallies: list[Tally]
    positions: list[Position]
    missing: list[Missing]
    unnamed_until: str | None = None
    """Until when events may have been received that every consumer is missing and that have no name."""


class _FleetAccount(msgspec.Struct, frozen=True):
    """One fleet's day."""

    fleet_id: str
    """Empty for records that do not say whose they are."""
    state: State
    accepted: int
    rejected: int

    def of(self, consumer: str) -> dict[str, int]:
        """Return how many events came to each end of a consumer, and how many have not yet."""
        side: dict[str, int] = getattr(self, consumer)
        return side


if TYPE_CHECKING:
    FleetAccount = _FleetAccount
else:
    # Its answer has a member for each accounted consumer, by the consumer's name.
    FleetAccount = msgspec.defstruct(
        "FleetAccount",
        [(consumer.name, dict[str, int]) for consumer in ACCOUNTED],
        bases=(_FleetAccount,),
        frozen=True,
    )


class Statement(msgspec.Struct, frozen=True):
    """A day's accounts."""

    day: str
    as_of: str | None
    """When the brokers were last asked."""
    fleets: list[FleetAccount]
    positions: list[Position]
    missing: list[Missing]


class FleetStatement(msgspec.Struct, frozen=True):
    """A day's account as the fleet itself may see it."""

    day: str
    as_of: str | None
    account: FleetAccount
    missing: list[Missing]


def draw_up(day: str, facts: Facts) -> Statement:
    """Draw up the statement of a day for every fleet that had events."""
    fleets = sorted({tally.fleet_id for tally in facts.tallies})
    accounts = [_account(fleet_id, day, facts) for fleet_id in fleets]
    return Statement(day, facts.as_of, accounts, facts.positions, facts.missing)


def draw_up_for(fleet_id: str, day: str, facts: Facts) -> FleetStatement:
    """Draw up the statement of a day for one fleet, from its own facts."""
    return FleetStatement(day, facts.as_of, _account(fleet_id, day, facts), facts.missing)


def _account(fleet_id: str, day: str, facts: Facts) -> FleetAccount:
    events: Counter[tuple[str, str]] = Counter()
    for tally in facts.tallies:
        if tally.fleet_id == fleet_id:
            events[tally.consumer, tally.outcome] += tally.events
    sides = {consumer.name: {end: events[consumer.name, end] for end in consumer.ends} for consumer in ACCOUNTED}
    accepted = max(sum(side.values()) for side in sides.values())
    not_yet = {consumer: accepted - sum(side.values()) for consumer, side in sides.items()}
    for consumer, side in sides.items():
        side[NOT_YET] = not_yet[consumer]
    state = _judge(fleet_id, day, not_yet, facts)
    return FleetAccount(fleet_id, state, accepted, events[INGEST, REJECTED], *sides.values())


def _judge(fleet_id: str, day: str, not_yet: dict[str, int], facts: Facts) -> State:
    if any(one.fleet_id == fleet_id and (one.received_at or day).startswith(day) for one in facts.missing):
        return "missing"
    behind = [position for position in facts.positions if not_yet.get(position.consumer)]
    if not any(not_yet.values()):
        # What every consumer lacks shows in no account: its fleet is unknown, and its day may be any until then.
        return "missing" if day <= (facts.unnamed_until or "")[:10] else "balanced"
    if _is_open(day, facts.as_of) and any(position.in_flight + position.under_way for position in behind):
        return "in_flight"
    return "missing" if any(position.missing for position in behind) else "unbalanced"


def _is_open(day: str, as_of: str | None) -> bool:
    """Say whether anything of a day may still be on its way."""
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
    return as_of is None or datetime.fromisoformat(as_of) < end + SETTLED
