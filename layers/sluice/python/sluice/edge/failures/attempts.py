"""Attempts at batches, counted in Valkey, so that the counts survive the death of a process.

A batch is identified by its consumer, its partition and its first offset. While the cache is down nothing is counted,
and a batch that kills its process is retried as a whole. A lost or partial state starts over.
"""

import contextlib
from collections.abc import Mapping, Sequence

from sluice.core.failures.attempts import KEEP, SINGLY_FROM, Attempt
from sluice.core.records import KafkaRecord, Origin, Partition
from sluice.edge.cache import Cache, CacheAwayError, Script

# The first and the last offset of each partition's batch. A record that is still noted when the batch begins again has
# ended a process: a process that answers removes its note, unless the cache is away at that moment. An unreadable state
# counts as no attempt: it must not block its partition.
_BEGIN = Script("""
local function is_begun(key, first)
    if redis.call('TYPE', key).ok ~= 'hash' then
        return false
    end
    local state, fields = redis.call('HGETALL', key), {}
    for index = 1, #state, 2 do
        local name, value = state[index], state[index + 1]
        local named = string.match(name, '^%l+$') or string.match(name, '^died:%d+$')
        if not named or not string.match(value, '^%d+$') or #value > 18 then
            return false
        end
        fields[name] = value
    end
    return fields['first'] == first and fields['until'] and fields['number']
end
local states = {}
for index, key in ipairs(KEYS) do
    local first, last = ARGV[2 * index], ARGV[2 * index + 1]
    if not is_begun(key, first) then
        redis.call('DEL', key)
        redis.call('HSET', key, 'first', first, 'until', last, 'number', 0)
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

# Only if the batch is still known: a note alone would be a state without a batch.
_MARK = Script("""
if redis.call('HGET', KEYS[1], 'until') then
    redis.call('HSET', KEYS[1], 'trying', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
""")

# The offset where each partition continues one by one, or -1 if no suspect is left. A state that was lost meanwhile is
# not written again: the extent of its batch is no longer known. Earlier deaths do not count against a record that was
# tried and did not end the process: one that is held is tried for minutes, and a note that is left by chance must not
# add up with another.
_END = Script("""
for index, key in ipairs(KEYS) do
    local offset = ARGV[index + 1]
    if offset ~= '-1' and redis.call('HGET', key, 'until') then
        redis.call('HSET', key, 'first', offset, 'number', ARGV[1])
        local tried = redis.call('HGET', key, 'trying')
        if tried then
            redis.call('HDEL', key, 'trying', 'died:' .. tried)
        end
    else
        redis.call('DEL', key)
    end
end
return 1
""")

_MILLISECONDS = int(KEEP.total_seconds() * 1000)


class Attempts:
    """Counts one consumer's attempts."""

    def __init__(self, cache: Cache, consumer: str, rerun: int | None = None) -> None:
        self._cache = cache
        self._consumer = consumer
        self._rerun = rerun

    def of_rerun(self, start: int | None) -> "Attempts":
        """Return separate counts for a rerun from an offset: the event source may deliver the partition meanwhile."""
        return self if start is None else Attempts(self._cache, self._consumer, start)

    def begin(self, places: Mapping[Partition, Sequence[KafkaRecord]]) -> dict[Partition, Attempt]:
        """Count the start of a batch, and return what is known of it; nothing while the cache is down."""
        if not places:
            return {}
        spans = [end for records in places.values() for end in (records[0].origin.offset, records[-1].origin.offset)]
        try:
            states = self._cache.run(_BEGIN, [self._name(place) for place in places], [_MILLISECONDS, *spans])
        except CacheAwayError:
            return {}
        return {place: _read(state) for place, state in zip(places, states, strict=True)}

    def mark(self, origin: Origin) -> None:
        """Note the record to be tried alone, before the attempt."""
        with contextlib.suppress(CacheAwayError):
            self._cache.run(_MARK, [self._name((origin.topic, origin.partition))], [_MILLISECONDS, origin.offset])

    def end(self, resumed: Mapping[Partition, int | None]) -> None:
        """Forget batches that ended with an answer; a suspected one continues one by one from an offset."""
        if not resumed:
            return
        offsets = [-1 if offset is None else offset for offset in resumed.values()]
        with contextlib.suppress(CacheAwayError):
            self._cache.run(_END, [self._name(place) for place in resumed], [SINGLY_FROM - 1, *offsets])

    def _name(self, place: Partition) -> str:
        topic, partition = place
        # The braces keep a consumer's keys on one node of the cluster, where one script can use them all.
        rerun = "" if self._rerun is None else f":rerun-{self._rerun}"
        return f"attempt:{{{self._consumer}}}:{topic}:{partition}{rerun}"


def _read(state: Sequence[bytes]) -> Attempt:
    fields = {name.decode(): int(value) for name, value in zip(state[::2], state[1::2], strict=True)}
    deaths = {int(name.removeprefix("died:")): times for name, times in fields.items() if name.startswith("died:")}
    return Attempt(fields["number"], fields["until"], deaths)
