"""Putting records aside: each becomes a dead letter, stored before the record counts as dealt with.

Valkey keeps what a consumer may put aside for all its processes; while it is away, each process has its share. What
good records earn is added when something is put aside: to add it with every batch would cost a round trip each.
"""

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec

from sluice.core.failures.letters import about_record
from sluice.core.failures.quarantine import EARNED, KEEP, MOST, START, Allowance, QuarantineExceededError, check_budget
from sluice.core.failures.sorting import Faulty
from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.edge.broker import Broker
from sluice.edge.cache import Cache, CacheAwayError, Script

# core.failures.quarantine.Allowance is the same in memory. What is no finite number starts over.
_SPEND = Script("""
local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
if not left or left - left ~= 0 then
    left = tonumber(ARGV[1])
end
left = math.min(tonumber(ARGV[2]), left + tonumber(ARGV[3])) - tonumber(ARGV[4])
redis.call('SET', KEYS[1], tostring(left), 'PX', ARGV[5])
return 1
""")


class SharedAllowance:
    """What all processes of a consumer together may put aside."""

    def __init__(self, cache: Cache, consumer: str, processes: int) -> None:
        self._cache = cache
        self._consumer = consumer
        self._name = f"quarantine:{consumer}"
        self._share = 1 / processes
        self._here = Allowance(self._share)
        self._earned = 0.0

    def check(self, poison: int, good: int, now: datetime) -> None:
        """Stop when more would be put aside than is left, with what good records of the batch will earn."""
        try:
            left = min(MOST, self._left() + self._earned + EARNED * good)
            allowed = poison <= left
        except CacheAwayError:
            allowed = self._here.allows(poison, good, now)
        if not allowed:
            raise QuarantineExceededError(
                f"{self._consumer} has put aside all it may for now; {poison} records stay where they are"
            )

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Take what was put aside, and add what was earned meanwhile."""
        self._here.earn(good, now)
        # Not more than a share: all processes together must not save up more than the allowance may be.
        self._earned = min(MOST * self._share, self._earned) + EARNED * good
        if not poison:
            return
        self._here.spend(poison, now)
        milliseconds = int(KEEP.total_seconds() * 1000)
        try:
            self._cache.run(_SPEND, [self._name], [START, MOST, self._earned, poison, milliseconds])
        except CacheAwayError:
            return
        self._earned = 0.0

    def _left(self) -> float:
        kept = self._cache.get(self._name)
        try:
            left = START if kept is None else float(kept)
        except ValueError:
            left = math.nan
        if not math.isfinite(left):
            # As good as none: poison must not end in a crash over it.
            raise CacheAwayError(f"{self._name} holds {kept!r}, which is no allowance")
        return left


class Quarantine:
    """The dead letters of one consumer."""

    def __init__(self, broker: Broker, topic: str, consumer: str, allowance: SharedAllowance) -> None:
        self._broker = broker
        self._topic = topic
        self._consumer = consumer
        self._allowance = allowance

    def check(self, poison: int, good: int, now: datetime) -> None:
        """Stop when more is to be put aside than bad luck explains, of these records or of all recent ones."""
        if poison:
            check_budget(poison, poison + good)
            self._allowance.check(poison, good, now)

    def write(self, faulty: Sequence[Faulty], now: datetime) -> set[Origin]:
        """Store the dead letters of records and return the records whose letters could not be stored."""
        letters = [about_record(record, fault, self._consumer, now) for record, fault in faulty]
        messages = [Message(self._topic, letter.letter_id.encode(), msgspec.json.encode(letter)) for letter in letters]
        deliveries = self._broker.store(messages) if messages else []
        return {record.origin for (record, _), unstored in zip(faulty, deliveries, strict=True) if unstored is not None}

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Take what was put aside from the allowance, and add what so many good records earn."""
        self._allowance.spend(poison, good, now)
