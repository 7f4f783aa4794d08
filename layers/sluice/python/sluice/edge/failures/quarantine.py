"""Putting records aside: each becomes a dead letter, stored before the record counts as dealt with.

What a consumer may put aside is kept in Valkey for all its processes; while that is away, each goes by its share.
What good records earn is told when something is put aside: asking for every batch would be a round trip for nothing.
"""

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec

from sluice.core.errors import Poison
from sluice.core.failures.letters import about_record
from sluice.core.failures.quarantine import EARNED, KEEP, MOST, START, Allowance, QuarantineExceededError, check_budget
from sluice.core.messages import Message
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.broker import Broker
from sluice.edge.cache import Cache, CacheAwayError, Script

# core.failures.quarantine.Allowance is the same in memory. What is no number (nor is NaN, nor an infinity) begins anew.
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
                f"{self._consumer} has put aside all it may of late; {poison} records stay where they are"
            )

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Take what was put aside, and add what was earned meanwhile."""
        self._here.earn(good, now)
        # Not more than a share: all processes together hold no more back than the allowance may be.
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

    def __init__(self, broker: Broker, topic: str, consumer: str, max_letter: int, allowance: SharedAllowance) -> None:
        self._broker = broker
        self._topic = topic
        self._consumer = consumer
        self._max_letter = max_letter
        self._allowance = allowance

    def check(self, poison: int, good: int, now: datetime) -> None:
        """Stop when more is to be put aside than bad luck explains: of these records, or of all lately."""
        if poison:
            check_budget(poison, poison + good)
            self._allowance.check(poison, good, now)

    def put_aside(self, poison: Sequence[tuple[KafkaRecord, Poison]], good: int, now: datetime) -> set[Origin]:
        """Write letters and take them from the allowance, beside so many good records; the rest must come again."""
        unstored = self.write(poison, now)
        self.spend(len(poison) - len(unstored), good, now)
        return unstored

    def write(self, poison: Sequence[tuple[KafkaRecord, Poison]], now: datetime) -> set[Origin]:
        """Store the dead letters of records; what could not be stored must come again."""
        letters = [about_record(record, error, self._consumer, now, self._max_letter) for record, error in poison]
        messages = [Message(self._topic, letter.letter_id.encode(), msgspec.json.encode(letter)) for letter in letters]
        deliveries = self._broker.store(messages) if messages else []
        return {record.origin for (record, _), unstored in zip(poison, deliveries, strict=True) if unstored is not None}

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Take what was put aside from the allowance, and add what so many good records earn."""
        self._allowance.spend(poison, good, now)
