"""The statistics of devices in Valkey, which learn writes and detect reads, and which rules are watched.

One hash for each shard: a batch asks with one command for each of 64 shards at most, however many devices it has.
A process remembers statistics for a minute, because a device sends several batches in that time, and what is watched
for two seconds.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf
from typing import Any

import msgspec
from redis.cluster import ClusterPipeline

from sluice.core.detect.device_readings import Known
from sluice.core.detect.statistics import DeviceStatistics, read_statistics, write_statistics
from sluice.core.detect.watching import name_device, name_statistics, name_watched
from sluice.core.samples.shards import SHARDS, shard_of
from sluice.edge.cache import Cache, CacheAwayError

Device = tuple[str, str]  # a fleet, and its device

REMEMBER_SECONDS = 60.0
WATCHED_SECONDS = 2.0
MOST_REMEMBERED = 20_000
"""Some 60 MB: the devices of a dozen partitions at baseline."""
KEEP_SECONDS = 6 * 3600
"""How long statistics outlive the last run of learn."""
FIELDS = 500
"""How many devices one command writes."""
MOST_EXTRA = 1.1
"""A hash with so many times the devices that learn knows is begun anew: it keeps devices that are gone."""

NOTHING = frozenset[str]()

_decode_rules = msgspec.json.Decoder(list[str]).decode


class PublishedStatistics:
    """The statistics of devices, as one process knows them."""

    def __init__(self, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._clock = clock
        self._remembered: dict[Device, tuple[float, DeviceStatistics | None]] = {}
        self._watched: dict[Device, frozenset[str]] = {}
        self._watched_at = -inf

    def find(self, devices: Collection[Device]) -> dict[Device, Known]:
        """Find what is known of devices. While the cache is down: what is remembered, and nothing is watched."""
        now = self._clock()
        old = _by_shard(device for device in devices if self._is_old(device, now))
        ask_watched = now - self._watched_at > WATCHED_SECONDS

        def ask(pipeline: ClusterPipeline) -> None:
            for shard in range(SHARDS) if ask_watched else ():
                pipeline.hgetall(name_watched(shard))
            for shard, there in old.items():
                pipeline.hmget(name_statistics(shard), [name_device(*device) for device in there])

        if devices and (old or ask_watched):
            try:
                answers = self._cache.together(ask)
            except CacheAwayError:
                self._watched, self._watched_at = {}, -inf
            else:
                self._take(answers, old, now, watched=SHARDS if ask_watched else 0)
        return {device: Known(self._recall(device), self._watched.get(device, NOTHING)) for device in devices}

    def _take(self, answers: Sequence[Any], old: Mapping[int, Sequence[Device]], now: float, *, watched: int) -> None:
        if watched:
            self._watched_at = now
            self._watched = _read_watched(answers[:watched])
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.clear()
        for there, found in zip(old.values(), answers[watched:], strict=True):
            for device, data in zip(there, found, strict=True):
                self._remembered[device] = (now, read_statistics(data))

    def _is_old(self, device: Device, now: float) -> bool:
        found = self._remembered.get(device)
        return found is None or now - found[0] > REMEMBER_SECONDS

    def _recall(self, device: Device) -> DeviceStatistics | None:
        found = self._remembered.get(device)
        return found[1] if found is not None else None


def publish_statistics(cache: Cache, shard: int, statistics: Mapping[Device, DeviceStatistics]) -> None:
    """Replace the statistics of a shard's devices; CacheAwayError if some of them may not be there."""
    if not statistics:
        return
    name = name_statistics(shard)
    rows = [(name_device(*device), write_statistics(each)) for device, each in statistics.items()]

    def write(pipeline: ClusterPipeline) -> None:
        for start in range(0, len(rows), FIELDS):
            pipeline.hset(name, mapping=dict(rows[start : start + FIELDS]))
        pipeline.expire(name, KEEP_SECONDS)
        pipeline.hlen(name)

    def begin_anew(pipeline: ClusterPipeline) -> None:
        pipeline.delete(name)  # type: ignore[no-untyped-call]  # declared without types
        write(pipeline)

    *_, found = cache.together(write)
    if found > MOST_EXTRA * len(rows) + FIELDS:
        cache.together(begin_anew)


def find_watched(cache: Cache, shard: int) -> dict[Device, frozenset[str]]:
    """Find the watched rules of a shard's devices; none while the cache is down."""
    try:
        (fields,) = cache.together(lambda pipeline: pipeline.hgetall(name_watched(shard)))
    except CacheAwayError:
        return {}
    return _read_watched([fields])


def _read_watched(shards: Iterable[Mapping[bytes, bytes]]) -> dict[Device, frozenset[str]]:
    return {
        (fleet_id, device_id): rules
        for fields in shards
        for name, text in fields.items()
        for fleet_id, _, device_id in [name.decode(errors="replace").partition("/")]
        if (rules := _read_rules(text))
    }


def _by_shard(devices: Iterable[Device]) -> dict[int, list[Device]]:
    shards: defaultdict[int, list[Device]] = defaultdict(list)
    for device in devices:
        shards[shard_of(*device)].append(device)
    return dict(shards)


def _read_rules(text: bytes) -> frozenset[str]:
    """Read the rules of a device; a hint that cannot be read is none."""
    try:
        return frozenset(_decode_rules(text))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return frozenset()
