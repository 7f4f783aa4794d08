"""The statement of a day: the outcome of every accepted event, and whether the accounts agree.

Each consumer keeps its own account. The consumer that is furthest ahead gives the number of a fleet's accepted events.
Events that another consumer has not seen are in flight or missing. For all fleets together the brokers give the number
of accepted events, and it is compared with what each consumer has covered.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from sluice.core.consumers import ACCOUNTED
from sluice.core.ledger.groups import INGEST, REJECTED

NOT_YET = "not_yet"
"""Events that a consumer further ahead has seen, and this one has not."""

State = Literal["balanced", "in_flight", "missing", "unbalanced"]

SETTLED = timedelta(hours=7)
"""How long after a day its events may be in flight: Kafka keeps them for six hours, and archive's grace is one."""


class Tally(msgspec.Struct, frozen=True):
    """How many events of a fleet had one outcome."""

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
    """Whether Kafka still has it, so that it can be run again."""


class Position(msgspec.Struct, frozen=True):
    """A consumer's progress over all events ever accepted, of all fleets."""

    consumer: str
    accepted: int
    covered: int
    in_flight: int
    """Not committed yet."""
    under_way: int
    """Committed, and not yet found in the store."""
    missing: int
    lost: int
    """Missing events that Kafka no longer has."""
    ahead: int = 0
    """Covered since the brokers were last asked: the other consumers may not have reached them yet."""


class ReplayOfDay(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """A replay of hours of the day, which may have changed the accounts."""

    replay_id: str
    fleet_id: str | None
    """None: of all fleets."""
    first: str
    last: str
    state: str
    counted: int | None
    """Events that aggregate had not accounted for before it. A fleet does not read what concerns others."""
    removed: int | None
    added: int | None
    """Samples that it removed and added; a value that changed is both."""


class LedgerFacts(msgspec.Struct, frozen=True):
    """The facts behind a statement."""

    as_of: str | None
    tallies: list[Tally]
    positions: list[Position]
    missing: list[Missing]
    unnamed_until: str | None = None
    """The latest possible reception of unnamed events that every consumer is missing."""
    replays: list[ReplayOfDay] = []
    redriving: list[str] = []
    """Fleets of which re-driven events may be under way; they were received on any day."""


class _FleetAccount(msgspec.Struct, frozen=True):
    """One fleet's day."""

    fleet_id: str
    """Empty for records that do not name their fleet."""
    state: State
    accepted: int
    rejected: int

    def of(self, consumer: str) -> dict[str, int]:
        """Return how many events had each outcome at a consumer, and how many have none yet."""
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
    replays: list[ReplayOfDay] = []
    """Those of hours of the day, the newest first."""


class FleetStatement(msgspec.Struct, frozen=True):
    """A day's account, as shown to the fleet itself."""

    day: str
    as_of: str | None
    account: FleetAccount
    missing: list[Missing]
    replays: list[ReplayOfDay] = []


def draw_up(day: str, facts: LedgerFacts) -> Statement:
    """Draw up the statement of a day for every fleet that had events."""
    fleets = sorted({tally.fleet_id for tally in facts.tallies})
    accounts = [_account(fleet_id, day, facts) for fleet_id in fleets]
    return Statement(day, facts.as_of, accounts, facts.positions, facts.missing, facts.replays)


def draw_up_for(fleet_id: str, day: str, facts: LedgerFacts) -> FleetStatement:
    """Draw up the statement of a day for one fleet, from its own facts."""
    return FleetStatement(day, facts.as_of, _account(fleet_id, day, facts), facts.missing, facts.replays)


def _account(fleet_id: str, day: str, facts: LedgerFacts) -> FleetAccount:
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


def _judge(fleet_id: str, day: str, not_yet: dict[str, int], facts: LedgerFacts) -> State:
    if any(one.fleet_id == fleet_id and (one.received_at or day).startswith(day) for one in facts.missing):
        return "missing"
    behind = [position for position in facts.positions if not_yet.get(position.consumer)]
    if not any(not_yet.values()):
        # Events that every consumer is missing are in no account: their fleet is unknown, their day any until then.
        return "missing" if day <= (facts.unnamed_until or "")[:10] else "balanced"
    is_open = fleet_id in facts.redriving or _is_open(day, facts.as_of)
    if is_open and any(position.in_flight + position.under_way for position in behind):
        return "in_flight"
    if any(position.missing for position in behind):
        return "missing"
    return "in_flight" if is_open and any(position.ahead for position in facts.positions) else "unbalanced"


def _is_open(day: str, as_of: str | None) -> bool:
    """Return whether events of a day may still be in flight."""
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
    return as_of is None or datetime.fromisoformat(as_of) < end + SETTLED
