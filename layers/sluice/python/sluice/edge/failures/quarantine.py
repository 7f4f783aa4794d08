"""The quarantine: each record becomes a dead letter, stored before the record counts as done.

Valkey keeps a consumer's allowance for all its processes; while it is down, each process has its share. The earnings of
good records are added when a record is quarantined: adding them with every batch would cost a round trip each.

An admin who has seen why a consumer halted may allow it more letters. Only a batch that would halt it asks for those.
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

# core.failures.quarantine.Allowance is the in-memory equivalent. A value that is not a finite number starts over.
_SPEND = Script("""
local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
if not left or left - left ~= 0 then
    left = tonumber(ARGV[1])
end
left = math.min(tonumber(ARGV[2]), left + tonumber(ARGV[3])) - tonumber(ARGV[4])
redis.call('SET', KEYS[1], tostring(left), 'PX', ARGV[5])
return 1
""")

_SPEND_EXTRA = Script("""
local left = tonumber(redis.call('GET', KEYS[1]) or '0')
if not left or left - left ~= 0 or left <= 0 then
    return 0
end
local spent = math.min(left, tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%d', left - spent), 'KEEPTTL')
return spent
""")


class ExtraAllowance:
    """How many letters an admin has allowed a consumer beyond its allowance and beyond the budget of a batch."""

    def __init__(self, cache: Cache, consumer: str) -> None:
        self._cache = cache
        self._name = f"extra:{consumer}"
        self._used = False

    def grant(self, letters: int) -> None:
        """Allow so many letters from now on; what was left of an earlier grant ends."""
        self._cache.put(self._name, b"%d" % letters, int(KEEP.total_seconds()))

    def covers(self, poison: int) -> bool:
        """Return whether so many letters are allowed."""
        try:
            kept = self._cache.get(self._name) or b""
        except CacheAwayError:
            return False
        self._used = kept.isdigit() and poison <= int(kept)
        return self._used

    def spend(self, poison: int) -> int:
        """Subtract letters that `covers` has allowed; return how many were subtracted."""
        if not self._used:
            return 0
        try:
            spent = int(self._cache.run(_SPEND_EXTRA, [self._name], [poison]))
        except CacheAwayError:
            return 0
        self._used = False
        return spent


class SharedAllowance:
    """How many records all processes of a consumer together may quarantine."""

    def __init__(self, cache: Cache, consumer: str, processes: int) -> None:
        self._cache = cache
        self._consumer = consumer
        self._name = f"quarantine:{consumer}"
        self.extra = ExtraAllowance(cache, consumer)
        self._share = 1 / processes
        self._here = Allowance(self._share)
        self._earned = 0.0

    def check(self, poison: int, good: int, now: datetime) -> None:
        """Stop if a batch needs more than is left, including what its good records earn."""
        try:
            left = min(MOST, self._left() + self._earned + EARNED * good)
            allowed = poison <= left
        except CacheAwayError:
            allowed = self._here.allows(poison, good, now)
        if not allowed:
            raise QuarantineExceededError(
                f"{self._consumer} has used up its quarantine allowance; {poison} records stay in Kafka"
            )

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Subtract quarantined records, and add the earnings since the last time."""
        poison -= self.extra.spend(poison)
        self._here.earn(good, now)
        # At most a share: all processes together must not earn more than the maximum allowance.
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
            # Treated like a missing value: it must not crash the handling of poison.
            raise CacheAwayError(f"{self._name} holds {kept!r}, which is not an allowance")
        return left


class Quarantine:
    """The dead letters of one consumer."""

    def __init__(self, broker: Broker, topic: str, consumer: str, allowance: SharedAllowance) -> None:
        self._broker = broker
        self._topic = topic
        self._consumer = consumer
        self._allowance = allowance

    def check(self, poison: int, good: int, now: datetime) -> None:
        """Stop when more records fail than chance explains, of these records or of all recent ones."""
        if not poison:
            return
        try:
            check_budget(poison, poison + good)
            self._allowance.check(poison, good, now)
        except QuarantineExceededError:
            if not self._allowance.extra.covers(poison):
                raise

    def write(self, faulty: Sequence[Faulty], now: datetime) -> set[Origin]:
        """Store the dead letters of records and return the records whose letters could not be stored."""
        letters = [about_record(record, fault, self._consumer, now) for record, fault in faulty]
        messages = [Message(self._topic, letter.letter_id.encode(), msgspec.json.encode(letter)) for letter in letters]
        deliveries = self._broker.store(messages) if messages else []
        return {record.origin for (record, _), unstored in zip(faulty, deliveries, strict=True) if unstored is not None}

    def spend(self, poison: int, good: int, now: datetime) -> None:
        """Subtract quarantined records from the allowance, and add what good records earn."""
        self._allowance.spend(poison, good, now)
