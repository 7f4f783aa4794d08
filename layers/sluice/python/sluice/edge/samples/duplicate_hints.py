"""Recently stored events, remembered in Valkey: a hint, which may be missing or wrong.

One set for each device and hour of reception, of signed 64-bit numbers: up to 512 of them are kept as bare integers.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from redis.cluster import ClusterPipeline

from sluice.core.events.identity import hash_64
from sluice.core.ledger.groups import hour_of
from sluice.core.records import Origin
from sluice.core.samples.events import Event
from sluice.edge.cache import Cache, CacheAwayError

HOUR = timedelta(hours=1)
# Events received at an hour's start are looked up until the end of the next hour.
KEEP = 2 * HOUR

_Device = tuple[str, str]


class DuplicateHints:
    """Remembers events for at least an hour, as long as the cache does."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def suspects(self, events: Iterable[Event]) -> set[Origin]:
        """Return the records whose events seem to be stored already; none while the cache is down."""
        sets: defaultdict[tuple[_Device, datetime], list[Event]] = defaultdict(list)
        for event in events:
            if not event.late:
                sets[(event.fleet_id, event.device_id), hour_of(event.received_at)].append(event)
        if not sets:
            return set()

        def ask(pipeline: ClusterPipeline) -> None:
            for (device, hour), asked in sets.items():
                members = [_member(event) for event in asked]
                pipeline.smismember(_name(device, hour), members)
                pipeline.smismember(_name(device, hour - HOUR), members)

        try:
            answers = iter(self._cache.together(ask))
        except CacheAwayError:
            return set()
        return {
            event.origin
            for asked in sets.values()
            for event, now, before in zip(asked, next(answers), next(answers), strict=True)
            if now or before
        }

    def mark(self, events: Iterable[Event]) -> None:
        """Remember events that are committed in the database; earlier, a crash would make duplicates of them."""
        sets: defaultdict[tuple[_Device, datetime], list[int]] = defaultdict(list)
        for event in events:
            if not event.late:
                sets[(event.fleet_id, event.device_id), hour_of(event.received_at)].append(_member(event))
        if not sets:
            return

        def tell(pipeline: ClusterPipeline) -> None:
            for (device, hour), members in sets.items():
                name = _name(device, hour)
                pipeline.sadd(name, *members)
                pipeline.expire(name, KEEP)

        self._cache.together(tell)


def _name(device: _Device, hour: datetime) -> str:
    fleet_id, device_id = device
    return f"seen:{hash_64(fleet_id.encode(), device_id.encode()):x}:{int(hour.timestamp())}"


def _member(event: Event) -> int:
    return int.from_bytes(event.key[:8], signed=True) ^ int.from_bytes(event.key[8:], signed=True)
