"""Recently stored events, remembered in Valkey: a hint, which may be missing or wrong.

One set for each Kafka partition and hour of reception. All events of a device are on one partition, so a batch needs
few commands, however many devices it has. Their names in braces keep a partition's sets on one node of the cluster.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from redis.cluster import ClusterPipeline

from sluice.core.events.identity import hash_48
from sluice.core.records import Origin
from sluice.core.samples.events import Event
from sluice.edge.cache import Cache, CacheAwayError

HOUR = timedelta(hours=1)
# Events received at an hour's start are looked up until the end of the next hour.
KEEP = 2 * HOUR

_Place = tuple[str, int, datetime]  # a partition, and an hour of reception


class DuplicateHints:
    """Remembers events for at least an hour, as long as the cache does."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def suspects(self, events: Iterable[Event]) -> set[Origin]:
        """Return the records whose events seem to be stored already; none while the cache is down."""
        sets = _by_place(events)
        if not sets:
            return set()

        def ask(pipeline: ClusterPipeline) -> None:
            for (topic, partition, hour), asked in sets.items():
                members = [_member(event) for event in asked]
                pipeline.smismember(_name(topic, partition, hour), members)
                pipeline.smismember(_name(topic, partition, hour - HOUR), members)

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
        sets = _by_place(events)
        if not sets:
            return

        def tell(pipeline: ClusterPipeline) -> None:
            for place, stored in sets.items():
                name = _name(*place)
                pipeline.sadd(name, *map(_member, stored))
                pipeline.expire(name, KEEP)

        self._cache.together(tell)


def _by_place(events: Iterable[Event]) -> Mapping[_Place, list[Event]]:
    """Sort the events that are looked up by the set that has them; late ones are in no set."""
    sets: defaultdict[_Place, list[Event]] = defaultdict(list)
    for event in events:
        if not event.late:
            sets[event.origin.topic, event.origin.partition, event.group.received_hour].append(event)
    return sets


def _name(topic: str, partition: int, hour: datetime) -> str:
    return f"seen:{{{topic}-{partition}}}:{int(hour.timestamp())}"


def _member(event: Event) -> bytes:
    return hash_48(event.fleet_id.encode(), event.device_id.encode(), event.key)
