"""Quotas of fleets: one bucket per fleet and kind in Valkey, and each process's share of it while Valkey is away."""

from collections import OrderedDict
from datetime import datetime
from typing import Literal

from sluice.core.quotas import BURST_SECONDS, Bucket, Quota
from sluice.edge.cache import Cache, CacheAwayError, Script

Kind = Literal["events", "rejects"]

MAX_BUCKETS = 10_000

# Fills by the server's clock; core.quotas.Bucket is the same in memory. `debt` charges for what has happened.
_TAKE = Script("""
local rate, burst, tokens, debt = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local state = redis.call('HMGET', KEYS[1], 'tokens', 'seen')
local left = tonumber(state[1] or burst)
left = math.min(burst, left + math.max(0, now - tonumber(state[2] or now)) * rate)
local allowed = 0
if debt == 1 or left >= math.min(tokens, burst) then
    left = left - tokens
    allowed = 1
end
redis.call('HSET', KEYS[1], 'tokens', left, 'seen', now)
redis.call('PEXPIRE', KEYS[1], 60000)
return allowed
""")


class Quotas:
    """Says whether a fleet may send some more."""

    def __init__(self, cache: Cache, processes: int) -> None:
        self._cache = cache
        self._processes = processes
        self._buckets: OrderedDict[tuple[str, Kind], Bucket] = OrderedDict()

    def take(self, fleet_id: str, kind: Kind, quota: Quota, tokens: int, now: datetime) -> bool:
        """Take tokens of a fleet if it has so many; zero asks whether it is in debt."""
        rate = getattr(quota, kind)
        try:
            arguments = (rate, rate * BURST_SECONDS, tokens, 0)
            return bool(self._cache.run(_TAKE, f"quota:{{{fleet_id}}}:{kind}", arguments))
        except CacheAwayError:
            # Each process then grants only its part: together never more than the fleet may.
            return self._bucket(fleet_id, kind, rate / self._processes, now).take(tokens, now)

    def charge(self, fleet_id: str, kind: Kind, quota: Quota, tokens: int, now: datetime) -> None:
        """Charge a fleet for what has happened, even into debt."""
        rate = getattr(quota, kind)
        try:
            self._cache.run(_TAKE, f"quota:{{{fleet_id}}}:{kind}", (rate, rate * BURST_SECONDS, tokens, 1))
        except CacheAwayError:
            self._bucket(fleet_id, kind, rate / self._processes, now).charge(tokens, now)

    def _bucket(self, fleet_id: str, kind: Kind, rate: float, now: datetime) -> Bucket:
        bucket = self._buckets.get((fleet_id, kind))
        if bucket is None:
            bucket = self._buckets[fleet_id, kind] = Bucket(rate, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        return bucket
