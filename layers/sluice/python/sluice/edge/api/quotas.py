"""Quotas of fleets: buckets in Valkey, and each process's share of them while Valkey is down.

A process takes a few more tokens than it needs and spends them first: asking Valkey at every request would cost more
than the rest of the request. Tokens not spent within a second are lost to the fleet.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Literal, TypeVar

import msgspec

from sluice.core.api.quotas import BURST_SECONDS, Quota, TokenBucket
from sluice.edge.cache import Cache, CacheAwayError, Script

Kind = Literal["events", "rejects"]
Name = TypeVar("Name")
Value = TypeVar("Value")

LEASE = timedelta(seconds=1)
MAX_FLEETS = 10_000

# Fills by the server's clock; core.api.quotas.Bucket is the in-memory equivalent.
_FILL = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function fill(key, rate, burst)
    local state = redis.call('HMGET', key, 'tokens', 'seen')
    local left = tonumber(state[1] or burst)
    return math.min(burst, left + math.max(0, now - tonumber(state[2] or now)) * rate)
end
local function keep(key, left, rate, burst)
    redis.call('HSET', key, 'tokens', left, 'seen', now)
    -- Expires when the bucket would be full again, not earlier: a debt must not expire.
    redis.call('PEXPIRE', key, math.ceil((burst - left) / rate * 1000) + 1000)
end
"""

# Returns how many tokens are given: all that are wished for, or else those needed. -1: too few are left.
# -2: too many events were rejected.
_ADMIT = Script(
    _FILL
    + """
local rate, burst, rejects, debt = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local needed, wished = tonumber(ARGV[5]), tonumber(ARGV[6])
if fill(KEYS[2], rejects, debt) < 0 then return -2 end
local left = fill(KEYS[1], rate, burst)
local given = -1
if left >= wished then given = wished elseif left >= math.min(needed, burst) then given = needed end
if given > 0 then keep(KEYS[1], left - given, rate, burst) end
return given
"""
)

_CHARGE = Script(
    _FILL
    + """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
keep(KEYS[1], fill(KEYS[1], rate, burst) - tonumber(ARGV[3]), rate, burst)
return 1
"""
)


class Lease(msgspec.Struct):
    """Tokens that this process has taken: the number left, and the number spent."""

    tokens: float
    until: datetime
    spent: float


class Quotas:
    """Decides whether a fleet may send more."""

    def __init__(self, cache: Cache, processes: int) -> None:
        self._cache = cache
        self._processes = processes
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, Kind], TokenBucket] = OrderedDict()

    def exceeded(self, fleet_id: str, quota: Quota, events: int, now: datetime) -> Kind | None:
        """Take tokens for some events, or name the exceeded quota."""
        lease = self._leases.get(fleet_id)
        if lease is not None and lease.until > now and lease.tokens >= events:
            lease.tokens -= events
            lease.spent += events
            return None
        # As many as were spent the last time: a process with few requests must not hoard tokens that others need.
        more = 0 if lease is None or lease.until + LEASE <= now else min(lease.spent, quota.events / self._processes)
        try:
            given = self._ask(fleet_id, quota, events, int(more))
        except CacheAwayError:
            return self._exceeded_here(fleet_id, quota, events, now)
        if given < 0:
            return "events" if given == -1 else "rejects"
        _remember(self._leases, fleet_id, Lease(given - events, now + LEASE, events))
        return None

    def charge_rejects(self, fleet_id: str, quota: Quota, rejects: int, now: datetime) -> None:
        """Charge a fleet for rejected events, even into debt."""
        arguments = (quota.rejects, quota.rejects * BURST_SECONDS, rejects)
        # The next request asks Valkey again: the rest of the lease must not outlive a debt.
        self._leases.pop(fleet_id, None)
        try:
            self._cache.run(_CHARGE, [_name(fleet_id, "rejects")], arguments)
        except CacheAwayError:
            self._bucket(fleet_id, "rejects", quota.rejects, now).charge(rejects, now)

    def _ask(self, fleet_id: str, quota: Quota, events: int, more: int) -> int:
        arguments = (
            quota.events,
            quota.events * BURST_SECONDS,
            quota.rejects,
            quota.rejects * BURST_SECONDS,
            events,
            events + more,
        )
        names = [_name(fleet_id, "events"), _name(fleet_id, "rejects")]
        return int(self._cache.run(_ADMIT, names, arguments))

    def _exceeded_here(self, fleet_id: str, quota: Quota, events: int, now: datetime) -> Kind | None:
        # Each process grants only its share: together never more than the fleet's quota.
        if not self._bucket(fleet_id, "rejects", quota.rejects, now).take(0, now):
            return "rejects"
        return None if self._bucket(fleet_id, "events", quota.events, now).take(events, now) else "events"

    def _bucket(self, fleet_id: str, kind: Kind, rate: float, now: datetime) -> TokenBucket:
        bucket = self._buckets.get((fleet_id, kind))
        if bucket is None:
            bucket = TokenBucket(rate / self._processes, now)
            _remember(self._buckets, (fleet_id, kind), bucket)
        return bucket


def _name(fleet_id: str, kind: Kind) -> str:
    # The braces keep a fleet's keys on one node of the cluster, where one script can use both.
    return f"quota:{{{fleet_id}}}:{kind}"


def _remember(memory: OrderedDict[Name, Value], name: Name, value: Value) -> None:
    memory[name] = value
    if len(memory) > MAX_FLEETS:
        memory.popitem(last=False)
