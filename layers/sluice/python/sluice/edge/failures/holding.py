"""How long records of a newer release are held: the moment each unknown version was first seen, kept in Valkey.

All processes of a consumer share the moment. While the cache is away everything stays held: the age at which the event
source gives a record up is the bound then, and salvage makes its dead letter.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sluice.edge.cache import Cache, CacheAwayError, Script

KEEP = timedelta(hours=1)
"""A version that was not seen for so long is held again when it comes back."""

# What is no moment, or lies in the future, would hold for ever or not at all: it is replaced.
_NOTE = Script("""
local moments = {}
for index, key in ipairs(KEYS) do
    local first = redis.call('TYPE', key).ok == 'string' and tonumber(redis.call('GET', key))
    if not first or not (first > 0 and first <= tonumber(ARGV[1])) then
        redis.call('SET', key, ARGV[1])
    end
    redis.call('PEXPIRE', key, ARGV[2])
    moments[index] = redis.call('GET', key)
end
return moments
""")


class Holds:
    """What one consumer holds."""

    def __init__(self, cache: Cache, consumer: str, seconds: float) -> None:
        self._cache = cache
        self._consumer = consumer
        self._milliseconds = seconds * 1000

    def find_over(self, unknown: Collection[str], now: datetime) -> set[str]:
        """Note that some versions were seen, and return those that were held for long enough."""
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
        return {name for name, first in pairs if moment - float(first) >= self._milliseconds}
