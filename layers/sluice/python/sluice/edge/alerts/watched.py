"""Which series are watched: a hint in Valkey for detect and learn, which then report clear readings too.

It may be lost. Then an incident ends late: after its device breaches again, or when that was silent for a day.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from redis.cluster import ClusterPipeline

from sluice.core.alerts.limits import WATCHED
from sluice.core.detect.watching import name_device, name_watched
from sluice.core.samples.shards import SHARDS, shard_of
from sluice.edge.cache import Cache

WatchedDevice = tuple[str, str, list[str]]
"""A fleet, a device and the rules under which it is watched."""


class WatchedHints:
    """Writes the hints."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def add(self, devices: Iterable[WatchedDevice]) -> None:
        """Add devices, or replace what was said of them."""
        fields = _by_shard(devices)
        if fields:
            self._cache.together(lambda pipeline: _write(pipeline, fields))

    def replace(self, devices: Iterable[WatchedDevice]) -> None:
        """Replace all hints: what is not watched any more leaves."""
        fields = _by_shard(devices)

        def write(pipeline: ClusterPipeline) -> None:
            for shard in range(SHARDS):
                pipeline.delete(name_watched(shard))  # type: ignore[no-untyped-call]  # declared without types
            _write(pipeline, fields)

        self._cache.together(write)


def _write(pipeline: ClusterPipeline, fields: dict[int, dict[Any, bytes]]) -> None:
    for shard, mapping in fields.items():
        pipeline.hset(name_watched(shard), mapping=mapping)
        # The schedule renews hints every minute.
        pipeline.expire(name_watched(shard), WATCHED)


def _by_shard(devices: Iterable[WatchedDevice]) -> dict[int, dict[Any, bytes]]:
    fields: defaultdict[int, dict[Any, bytes]] = defaultdict(dict)
    for fleet_id, device_id, rules in devices:
        fields[shard_of(fleet_id, device_id)][name_device(fleet_id, device_id)] = msgspec.json.encode(rules)
    return dict(fields)
