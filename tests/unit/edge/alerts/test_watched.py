"""Which hashes and fields detect and learn find, and what leaves them."""

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from sluice.core.samples.shards import SHARDS, shard_of
from sluice.edge.alerts.watched import WatchedHints

if TYPE_CHECKING:
    from sluice.edge.cache import Cache


class Hashes:
    """A cache, and its pipeline, as far as hints are kept there."""

    def __init__(self) -> None:
        self.held: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self.expiries: dict[str, timedelta] = {}
        self.trips = 0

    def together(self, queue: Callable[[Any], object]) -> list[Any]:
        self.trips += 1
        queue(self)
        return []

    def hset(self, name: str, mapping: dict[str, bytes]) -> None:
        self.held[name] |= mapping

    def expire(self, name: str, seconds: timedelta) -> None:
        self.expiries[name] = seconds

    def delete(self, name: str) -> None:
        self.held.pop(name, None)

    def hints(self) -> WatchedHints:
        return WatchedHints(cast("Cache", self))


def test_a_device_has_its_rules_in_the_hash_of_its_shard() -> None:
    hashes = Hashes()
    hashes.hints().add([("fleet-1", "device-1", ["hot", "loud"])])
    name = f"watched:{{{shard_of('fleet-1', 'device-1')}}}"
    assert {field: json.loads(rules) for field, rules in hashes.held[name].items()} == {
        "fleet-1/device-1": ["hot", "loud"]
    }
    assert hashes.expiries == {name: timedelta(minutes=15)}


def test_devices_that_are_added_stay_beside_others_and_none_ask_for_nothing() -> None:
    hashes = Hashes()
    hints = hashes.hints()
    hints.add([("fleet-1", f"device-{number}", ["hot"]) for number in range(200)])
    hints.add([("fleet-1", "device-0", ["loud"])])
    hints.add([])
    assert hashes.trips == 2
    fields = {field: rules for held in hashes.held.values() for field, rules in held.items()}
    assert len(fields) == 200
    assert fields["fleet-1/device-0"] == b'["loud"]'


def test_what_is_not_watched_any_more_leaves_when_all_are_renewed() -> None:
    hashes = Hashes()
    hints = hashes.hints()
    hints.add([("fleet-1", f"device-{number}", ["hot"]) for number in range(10 * SHARDS)])
    hints.replace([("fleet-1", "device-3", ["hot"])])
    assert [field for held in hashes.held.values() for field in held] == ["fleet-1/device-3"]
