"""The statistics of devices in Valkey, which learn writes and detect reads, and which rules are watched.

One hash of each for each shard: a batch asks with two commands for each of 64 shards at most, for its own devices.
A process remembers statistics for a minute, because a device sends several batches in that time, and what is watched
for two seconds. It remembers a device's type for longer: statistics that are gone do not change it.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from redis.cluster import ClusterPipeline

from sluice.core.detect.device_readings import Known
from sluice.core.detect.learned import HOURS_AFTER
from sluice.core.detect.rulebook import UNKNOWN_TYPE
from sluice.core.detect.statistics import HOUR_SECONDS, DeviceStatistics, read_statistics, write_statistics
from sluice.core.detect.watching import name_device, name_statistics, name_watched
from sluice.core.samples.shards import shard_of
from sluice.edge.cache import Cache, CacheAwayError

Device = tuple[str, str]  # a fleet, and its device
Value = TypeVar("Value")

REMEMBER_SECONDS = 60.0
WATCHED_SECONDS = 2.0
MOST_REMEMBERED = 20_000
"""Some 60 MB: the devices of a dozen partitions at baseline."""
KEEP_SECONDS = HOURS_AFTER * HOUR_SECONDS
"""How long statistics outlive the last run of learn: they have no baselines for later hours."""
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
        self._watched: dict[Device, tuple[float, frozenset[str]]] = {}
        self._last_types: dict[Device, str | None] = {}
        """Of devices that had statistics, and have none now."""

    def find(self, devices: Collection[Device]) -> dict[Device, Known]:
        """Find what is known of devices. While the cache is down: what is remembered, and nothing is watched."""
        now = self._clock()
        old = _by_shard(_find_old(self._remembered, devices, now - REMEMBER_SECONDS))
        unsure = _by_shard(_find_old(self._watched, devices, now - WATCHED_SECONDS))

        def ask(pipeline: ClusterPipeline) -> None:
            for shard, there in unsure.items():
                pipeline.hmget(name_watched(shard), [name_device(*device) for device in there])
            for shard, there in old.items():
                pipeline.hmget(name_statistics(shard), [name_device(*device) for device in there])

        if old or unsure:
            try:
                answers = self._cache.together(ask)
            except CacheAwayError:
                self._watched.clear()
            else:
                _make_room(self._watched, devices)
                _make_room(self._remembered, devices)
                _take(self._watched, unsure, answers[: len(unsure)], _read_rules, now)
                before = {device: _recall(self._remembered, device, None) for there in old.values() for device in there}
                _take(self._remembered, old, answers[len(unsure) :], read_statistics, now)
                self._note_types(devices, before)
        return {
            device: Known(
                _recall(self._remembered, device, None),
                _recall(self._watched, device, NOTHING),
                self._last_types.get(device, UNKNOWN_TYPE),
            )
            for device in devices
        }

    def _note_types(self, devices: Collection[Device], before: Mapping[Device, DeviceStatistics | None]) -> None:
        """Keep the types of devices whose statistics are not there any more."""
        _make_room(self._last_types, devices)
        for device, statistics in before.items():
            if statistics is not None and _recall(self._remembered, device, None) is None:
                self._last_types[device] = statistics.device_type


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
    return {
        (fleet_id, device_id): rules
        for name, text in fields.items()
        for fleet_id, _, device_id in [name.decode(errors="replace").partition("/")]
        if (rules := _read_rules(text))
    }


def _by_shard(devices: Iterable[Device]) -> dict[int, list[Device]]:
    shards: defaultdict[int, list[Device]] = defaultdict(list)
    for device in devices:
        shards[shard_of(*device)].append(device)
    return dict(shards)


def _find_old(memory: Mapping[Device, tuple[float, Value]], devices: Iterable[Device], before: float) -> list[Device]:
    """Find the devices of which nothing newer is remembered."""
    return [device for device in devices if device not in memory or memory[device][0] < before]


def _make_room(memory: dict[Device, Value], devices: Iterable[Device]) -> None:
    """Forget all but these devices, if too many are remembered."""
    if len(memory) > MOST_REMEMBERED:
        kept = {device: memory[device] for device in devices if device in memory}
        memory.clear()
        memory.update(kept)


def _take(
    memory: dict[Device, tuple[float, Value]],
    asked: Mapping[int, Sequence[Device]],
    answers: Sequence[Sequence[bytes | None]],
    read: Callable[[bytes | None], Value],
    now: float,
) -> None:
    for there, found in zip(asked.values(), answers, strict=True):
        for device, data in zip(there, found, strict=True):
            memory[device] = (now, read(data))


def _recall(memory: Mapping[Device, tuple[float, Value]], device: Device, unknown: Value) -> Value:
    found = memory.get(device)
    return unknown if found is None else found[1]


def _read_rules(text: bytes | None) -> frozenset[str]:
    """Read the rules of a device; a hint that cannot be read is none."""
    if text is None:
        return NOTHING
    try:
        return frozenset(_decode_rules(text))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return frozenset()
