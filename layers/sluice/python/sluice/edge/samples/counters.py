"""Live counters in Valkey: the number of events per fleet, type and minute of reception."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from redis.cluster import ClusterPipeline

from sluice.core.samples.events import OTHERS, Event
from sluice.edge.cache import Cache

KEEP = timedelta(hours=3)
# Devices name the types of activities: only the most frequent of a batch and minute are counted separately.
MAX_TYPES = 20


class Counters:
    """Counts events; counts are lost while the cache is down, and nothing else is."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def add(self, events: Iterable[Event]) -> None:
        """Count events that are new to the ledger."""
        minutes: defaultdict[tuple[str, datetime], Counter[str]] = defaultdict(Counter)
        for event in events:
            minutes[event.fleet_id, event.received_at.replace(second=0, microsecond=0)][event.event_type] += 1
        if not minutes:
            return

        def tell(pipeline: ClusterPipeline) -> None:
            for (fleet_id, minute), types in minutes.items():
                name = name_minute(fleet_id, minute)
                for event_type, count in _told_apart(types).items():
                    pipeline.hincrby(name, event_type, count)
                pipeline.expire(name, KEEP)

        self._cache.together(tell)

    def read(self, fleet_id: str, minutes: Sequence[datetime]) -> list[dict[str, int]]:
        """Read the number of received events per type, for each of some minutes."""

        def ask(pipeline: ClusterPipeline) -> None:
            for minute in minutes:
                pipeline.hgetall(name_minute(fleet_id, minute))

        found = self._cache.together(ask) if minutes else []
        return [{name.decode(): int(count) for name, count in types.items()} for types in found]


def name_minute(fleet_id: str, minute: datetime) -> str:
    """Name the counters of a fleet's minute; the braces keep a fleet's counters on one node of the cluster."""
    return f"count:{{{fleet_id}}}:{int(minute.timestamp())}"


def _told_apart(types: Counter[str]) -> Counter[str]:
    told = Counter(dict(types.most_common(MAX_TYPES)))
    if rest := types.total() - told.total():
        told[OTHERS] += rest
    return told
