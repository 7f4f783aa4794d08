"""A fake cache of hashes: what detect, learn and alert share in Valkey. It can be away, and counts commands."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sluice.edge.cache import Cache, CacheAwayError


class PlayedHashes:
    """Runs queued commands on hashes in memory."""

    def __init__(self) -> None:
        self.away = False
        self.hashes: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self.seconds: dict[str, int] = {}
        self.commands = 0
        self.fields = 0
        """How many fields were asked for, there or not."""
        self.trips = 0
        self._answers: list[Any] = []

    def as_cache(self) -> Cache:
        return cast("Cache", self)

    def together(self, queue: Callable[[Any], object]) -> list[Any]:
        self.trips += 1
        if self.away:
            raise CacheAwayError("the cache is away")
        self._answers = []
        queue(self)
        self.commands += len(self._answers)
        return self._answers

    def hmget(self, name: str, fields: Sequence[str]) -> None:
        self.fields += len(fields)
        self._answers.append([self.hashes[name].get(field) for field in fields])

    def hgetall(self, name: str) -> None:
        self.fields += len(self.hashes[name])
        self._answers.append({field.encode(): value for field, value in self.hashes[name].items()})

    def hset(self, name: str, mapping: Mapping[str, bytes]) -> None:
        self.hashes[name].update(mapping)
        self._answers.append(len(mapping))

    def expire(self, name: str, seconds: int) -> None:
        self.seconds[name] = seconds
        self._answers.append(1)

    def hlen(self, name: str) -> None:
        self._answers.append(len(self.hashes[name]))

    def delete(self, name: str) -> None:
        self._answers.append(int(self.hashes.pop(name, None) is not None))
