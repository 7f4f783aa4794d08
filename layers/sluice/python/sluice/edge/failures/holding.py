"""How long records of a newer release are held: Valkey keeps the time when each unknown version was first seen.

All processes of a consumer share that time. While the cache is down, records stay held until the event source gives
them up because of their age; salvage then makes their dead letters.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sluice.edge.cache import Cache, CacheAwayError, Script

KEEP = timedelta(hours=1)
"""A version not seen for this long is held again when it returns."""

# A value that is not a time, or that lies in the future, would hold for ever or not at all: it is replaced.
_NOTE = Script("""
local moments = {}
for index, key in ipairs(KEYS) do
    local text = redis.call('TYPE', key).ok == 'string' and redis.call('GET', key)
    -- Digits alone: Lua reads more forms of numbers than Python.
    local first = text and text:match('^%d+$') and tonumber(text)
    if not first or not (first > 0 and first <= tonumber(ARGV[1])) then
        redis.call('SET', key, ARGV[1])
    end
    redis.call('PEXPIRE', key, ARGV[2])
    moments[index] = redis.call('GET', key)
end
return moments
""")


class Holds:
    """The held versions of one consumer."""

    def __init__(self, cache: Cache, consumer: str, seconds: float) -> None:
        self._cache = cache
        self._consumer = consumer
        self._milliseconds = seconds * 1000

    def find_over(self, unknown: Collection[str], now: datetime) -> set[str]:
        """Note the versions seen, and return those that were held for long enough."""
        if not unknown:
            return set()
        asked = sorted(unknown)
        moment = int(now.timestamp() * 1000)
        # The braces keep a consumer's keys on one node of the cluster, where one script can use them all.
        names = [f"ahead:{{{self._consumer}}}:{name}" for name in asked]
        try:
            firsts = self._cache.run(_NOTE, names, [moment, int(KEEP.total_seconds() * 1000)])
        except CacheAwayError:
            return set()
        pairs = zip(asked, firsts, strict=True)
        return {name for name, first in pairs if moment - int(first) >= self._milliseconds}
