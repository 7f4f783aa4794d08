"""A simulated cache: what the edge asks of a cluster's client, in simulated time; it may forget everything.

The scripts run as their equivalents in Python. They pass the rules that the local cache must follow too.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import ResponseError

from sluice.edge import published
from sluice.edge.api import quotas
from sluice.edge.failures import attempts, holding, quarantine
from tests.simulation.world import World

CACHE = "cache"

Members = set[bytes]
Value = bytes | dict[str, bytes] | Members
Plain = str | bytes | int | float


class SimulatedCache:
    """The values with their ends."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._values: dict[str, Value] = {}
        self._ends: dict[str, float] = {}
        self._scripts: dict[str, Callable[[Sequence[str], Sequence[Plain]], Any]] = {
            attempts._BEGIN.sha1: self._begin,
            attempts._MARK.sha1: self._mark,
            attempts._END.sha1: self._end,
            quarantine._SPEND.sha1: self._spend,
            quarantine._SPEND_EXTRA.sha1: self._spend_extra,
            holding._NOTE.sha1: self._note,
            published._REPLACE_OLDER.sha1: self._replace_older,
            quotas._ADMIT.sha1: self._admit,
            quotas._CHARGE.sha1: self._charge,
        }

    def forget(self) -> None:
        """Lose everything."""
        self._values.clear()
        self._ends.clear()
        self._world.note("the cache forgets")

    def kept(self, prefix: str) -> list[tuple[str, Mapping[str, bytes]]]:
        """List the hashes whose names begin so, for a look from outside."""
        return [
            (name, value) for name, value in self._values.items() if name.startswith(prefix) and isinstance(value, dict)
        ]

    def get(self, name: str) -> bytes | None:
        """Read a value."""
        found: bytes | None = self._ask("get", lambda: self._text(name))
        return found

    def hget(self, name: str, field: str) -> bytes | None:
        """Read a field of a hash."""
        found: bytes | None = self._ask("hget", lambda: self._hash(name).get(field))
        return found

    def set(self, name: str, value: bytes, ex: int) -> None:
        """Keep a value for some seconds."""
        self._ask("set", lambda: self._keep(name, value, ex))

    def evalsha(self, sha1: str, keys: int, *arguments: Any) -> Any:
        """Run a script."""
        script = self._scripts[sha1]
        return self._ask("script", lambda: script(arguments[:keys], arguments[keys:]))

    def pipeline(self) -> "Pipeline":
        """Return what queues commands."""
        return Pipeline(self)

    def run_queued(self, commands: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run queued commands in one request."""
        answers: list[Any] = self._ask("pipeline", lambda: [command() for command in commands])
        return answers

    def _ask(self, effect: str, act: Callable[[], Any]) -> Any:
        return self._world.perform(CACHE, effect, lambda _: act(), AwayError)

    # What commands do.

    def _find(self, name: str) -> Value | None:
        if self._ends.get(name, math.inf) <= self._world.timeline.passed:
            self._values.pop(name, None)
            self._ends.pop(name, None)
        return self._values.get(name)

    def _keep(self, name: str, value: Value, seconds: float | None = None) -> None:
        self._values[name] = value
        self._ends.pop(name, None)
        if seconds is not None:
            self._ends[name] = self._world.timeline.passed + seconds

    def _text(self, name: str) -> bytes | None:
        found = self._find(name)
        if found is not None and not isinstance(found, bytes):
            raise ResponseError("WRONGTYPE")
        return found

    def _hash(self, name: str) -> dict[str, bytes]:
        found = self._find(name)
        if found is not None and not isinstance(found, dict):
            raise ResponseError("WRONGTYPE")
        return {} if found is None else found

    def _change_hash(self, name: str, fields: Mapping[str, Plain]) -> int:
        kept = self._hash(name)
        new = len(fields.keys() - kept.keys())
        kept |= {field: _encode(value) for field, value in fields.items()}
        self._values[name] = kept
        return new

    def _members(self, name: str) -> Members:
        found = self._find(name)
        if found is not None and not isinstance(found, set):
            raise ResponseError("WRONGTYPE")
        return set() if found is None else found

    def _expire(self, name: str, seconds: float) -> int:
        if self._find(name) is None:
            return 0
        self._ends[name] = self._world.timeline.passed + seconds
        return 1

    def _delete(self, name: str) -> int:
        self._ends.pop(name, None)
        return int(self._values.pop(name, None) is not None)

    # What scripts do.

    def _begin(self, names: Sequence[str], arguments: Sequence[Plain]) -> list[list[bytes]]:
        milliseconds, *spans = arguments
        states = []
        for name, first, last in zip(names, spans[::2], spans[1::2], strict=True):
            kept = self._find(name)
            if not isinstance(kept, dict) or not _is_begun(kept, _encode(first)):
                kept = {"first": _encode(first), "until": _encode(last), "number": b"0"}
            kept["number"] = b"%d" % (int(kept["number"]) + 1)
            if (tried := kept.pop("trying", None)) is not None:
                died = f"died:{tried.decode()}"
                kept[died] = b"%d" % (int(kept.get(died, b"0")) + 1)
            self._keep(name, kept, float(milliseconds) / 1000)
            states.append([each for field, value in kept.items() for each in (field.encode(), value)])
        return states

    def _mark(self, names: Sequence[str], arguments: Sequence[Plain]) -> int:
        milliseconds, offset = arguments
        if "until" in self._hash(names[0]):
            self._change_hash(names[0], {"trying": offset})
            self._expire(names[0], float(milliseconds) / 1000)
        return 1

    def _end(self, names: Sequence[str], arguments: Sequence[Plain]) -> int:
        number, *offsets = arguments
        for name, offset in zip(names, offsets, strict=True):
            if str(offset) != "-1" and "until" in self._hash(name):
                self._change_hash(name, {"first": offset, "number": number})
                if (tried := self._hash(name).pop("trying", None)) is not None:
                    self._hash(name).pop(f"died:{tried.decode()}", None)
            else:
                self._delete(name)
        return 1

    def _spend(self, names: Sequence[str], arguments: Sequence[Plain]) -> int:
        start, most, earned, poison, milliseconds = map(float, arguments)
        try:
            left = float(self._text(names[0]) or start)
        except ValueError:
            left = math.nan
        left = min(most, (left if math.isfinite(left) else start) + earned) - poison
        self._keep(names[0], str(left).encode(), milliseconds / 1000)
        return 1

    def _spend_extra(self, names: Sequence[str], arguments: Sequence[Plain]) -> int:
        kept = self._text(names[0]) or b"0"
        if not kept.isdigit() or int(kept) <= 0:
            return 0
        spent = min(int(kept), int(arguments[0]))
        # Its end stays as it was.
        self._values[names[0]] = b"%d" % (int(kept) - spent)
        return spent

    def _note(self, names: Sequence[str], arguments: Sequence[Plain]) -> list[bytes]:
        now, milliseconds = (int(argument) for argument in arguments)
        for name in names:
            kept = self._find(name)
            first = int(kept) if isinstance(kept, bytes) and kept.isdigit() else 0
            moment = first if 0 < first <= now else now
            self._keep(name, b"%d" % moment, milliseconds / 1000)
        return [self._text(name) or b"" for name in names]

    def _replace_older(self, names: Sequence[str], arguments: Sequence[Plain]) -> bytes:
        version, document, seconds, most = arguments
        kept = self._hash(names[0]).get("version", b"0")
        held = int(kept) if kept.isdigit() and int(kept) <= int(most) else 0
        if int(version) > held:
            self._change_hash(names[0], {"version": version, "document": document})
        self._expire(names[0], float(seconds))
        return self._hash(names[0])["version"]

    def _admit(self, names: Sequence[str], arguments: Sequence[Plain]) -> int:
        rate, burst, rejects, debt, needed, wished = map(float, arguments)
        if self._fill(names[1], rejects, debt) < 0:
            return -2
        left = self._fill(names[0], rate, burst)
        given = wished if left >= wished else needed if left >= min(needed, burst) else -1.0
        if given > 0:
            self._keep_bucket(names[0], left - given, rate, burst)
        return int(given)

    def _charge(self, names: Sequence[str], arguments: Sequence[Plain]) -> int:
        rate, burst, rejects = map(float, arguments)
        self._keep_bucket(names[0], self._fill(names[0], rate, burst) - rejects, rate, burst)
        return 1

    def _fill(self, name: str, rate: float, burst: float) -> float:
        state, now = self._hash(name), self._world.timeline.seconds()
        left = float(state.get("tokens", burst))
        return min(burst, left + max(0.0, now - float(state.get("seen", now))) * rate)

    def _keep_bucket(self, name: str, left: float, rate: float, burst: float) -> None:
        self._change_hash(name, {"tokens": left, "seen": self._world.timeline.seconds()})
        self._expire(name, (burst - left) / rate + 1)


class Pipeline:
    """Commands that are queued, and run together."""

    def __init__(self, cache: SimulatedCache) -> None:
        self._cache = cache
        self._queued: list[Callable[[], Any]] = []

    def execute(self) -> list[Any]:
        """Run them."""
        return self._cache.run_queued(self._queued)

    def smismember(self, name: str, members: Sequence[bytes]) -> None:
        self._queued.append(lambda: [int(member in self._cache._members(name)) for member in members])

    def sadd(self, name: str, *members: bytes) -> None:
        self._queued.append(lambda: self._cache._values.update({name: self._cache._members(name) | set(members)}))

    def expire(self, name: str, time: int | timedelta) -> None:
        seconds = time.total_seconds() if isinstance(time, timedelta) else time
        self._queued.append(lambda: self._cache._expire(name, seconds))

    def hincrby(self, name: str, field: str, by: int) -> None:
        self._queued.append(
            lambda: self._cache._change_hash(name, {field: int(self._cache._hash(name).get(field, b"0")) + by})
        )

    def hgetall(self, name: str) -> None:
        self._queued.append(lambda: {field.encode(): value for field, value in self._cache._hash(name).items()})

    def hmget(self, name: str, fields: Sequence[str]) -> None:
        self._queued.append(lambda: [self._cache._hash(name).get(field) for field in fields])

    def hset(self, name: str, mapping: Mapping[str, Plain]) -> None:
        self._queued.append(lambda: self._cache._change_hash(name, mapping))

    def hlen(self, name: str) -> None:
        self._queued.append(lambda: len(self._cache._hash(name)))

    def delete(self, name: str) -> None:
        self._queued.append(lambda: self._cache._delete(name))


def _encode(value: Plain) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _is_begun(state: Mapping[str, bytes], first: bytes) -> bool:
    named = all(re.fullmatch("[a-z]+|died:[0-9]+", name) for name in state)
    counted = all(re.fullmatch(b"[0-9]{1,18}", value) for value in state.values())
    return named and counted and state.get("first") == first and {"until", "number"} <= set(state)
