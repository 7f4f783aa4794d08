"""Attempts at batches, counted in Valkey: outside of what fails, so that they are there when a process is not.

A batch is known by its consumer, its partition and its first offset. While the cache is away nothing is counted, and a
batch that kills its process comes again as a whole.
"""

import contextlib
from collections.abc import Mapping, Sequence

from redis.cluster import ClusterPipeline

from sluice.core.attempts import KEEP, SINGLY_FROM, Attempt, Partition
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.cache import Cache, CacheAwayError, Script

# The first offsets and the last of each partition's batch. What was being tried when the batch begins again has ended
# a process: whoever ends by their own word leaves nothing written down.
_BEGIN = Script("""
local states = {}
for index, key in ipairs(KEYS) do
    local first, last = ARGV[2 * index], ARGV[2 * index + 1]
    if redis.call('HGET', key, 'first') ~= first then
        redis.call('DEL', key)
        redis.call('HSET', key, 'first', first, 'until', last)
    end
    redis.call('HINCRBY', key, 'number', 1)
    local tried = redis.call('HGET', key, 'trying')
    if tried then
        redis.call('HINCRBY', key, 'died:' .. tried, 1)
        redis.call('HDEL', key, 'trying')
    end
    redis.call('PEXPIRE', key, ARGV[1])
    states[index] = redis.call('HGETALL', key)
end
return states
""")

# Where each partition goes on one by one, or -1 where there is nothing left to suspect.
_END = Script("""
for index, key in ipairs(KEYS) do
    local offset = ARGV[index + 1]
    if offset == '-1' then
        redis.call('DEL', key)
    elseif redis.call('EXISTS', key) == 1 then
        redis.call('HSET', key, 'first', offset, 'number', ARGV[1])
        redis.call('HDEL', key, 'trying')
    end
end
return 1
""")

_MILLISECONDS = int(KEEP.total_seconds() * 1000)


class Attempts:
    """Counts one consumer's attempts."""

    def __init__(self, cache: Cache, consumer: str) -> None:
        self._cache = cache
        self._consumer = consumer

    def begin(self, places: Mapping[Partition, Sequence[KafkaRecord]]) -> dict[Partition, Attempt]:
        """Count that a batch is begun, and return what is known of it; nothing while the cache is away."""
        if not places:
            return {}
        spans = [end for records in places.values() for end in (records[0].origin.offset, records[-1].origin.offset)]
        try:
            states = self._cache.run(_BEGIN, [self._name(place) for place in places], [_MILLISECONDS, *spans])
        except CacheAwayError:
            return {}
        return {place: _read(state) for place, state in zip(places, states, strict=True)}

    def mark(self, origin: Origin) -> None:
        """Write down which record is tried alone, before it is."""
        name = self._name((origin.topic, origin.partition))

        def tell(pipeline: ClusterPipeline) -> None:
            pipeline.hset(name, "trying", str(origin.offset))
            pipeline.pexpire(name, KEEP)

        with contextlib.suppress(CacheAwayError):
            self._cache.together(tell)

    def end(self, resumed: Mapping[Partition, int | None]) -> None:
        """Forget what ended by its own word; what is left of a suspected batch goes on one by one from an offset."""
        if not resumed:
            return
        offsets = [-1 if offset is None else offset for offset in resumed.values()]
        with contextlib.suppress(CacheAwayError):
            self._cache.run(_END, [self._name(place) for place in resumed], [SINGLY_FROM - 1, *offsets])

    def _name(self, place: Partition) -> str:
        topic, partition = place
        # The braces keep a consumer's keys on one node of the cluster, where one script can use them all.
        return f"attempt:{{{self._consumer}}}:{topic}:{partition}"


def _read(state: Sequence[bytes]) -> Attempt:
    fields = {name.decode(): int(value) for name, value in zip(state[::2], state[1::2], strict=True)}
    deaths = {int(name.removeprefix("died:")): times for name, times in fields.items() if name.startswith("died:")}
    return Attempt(fields["number"], fields["until"], deaths)
