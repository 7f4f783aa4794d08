"""Statistics in Valkey: few commands for a batch, remembered for a minute, and nothing fails while Valkey is away."""

import json
from collections.abc import Iterable

import pytest

from sluice.core.detect.rulebook import UNKNOWN_TYPE
from sluice.core.detect.statistics import VERSION, DeviceStatistics, SeriesStatistics, Usual
from sluice.core.detect.watching import name_device, name_statistics, name_watched
from sluice.core.samples.shards import SHARDS, shard_of
from sluice.edge.cache import CacheAwayError
from sluice.edge.detect import statistics
from sluice.edge.detect.statistics import Device, PublishedStatistics, find_watched, publish_statistics
from tests.support.played_hashes import PlayedHashes

DEVICES = [("demo", f"press-{number}") for number in range(1650)]


def describe(mean: float, device_type: str | None = None) -> DeviceStatistics:
    return DeviceStatistics(VERSION, 1e9, 5, {"cpu_temp": SeriesStatistics(Usual(mean, 1.0, 30))}, device_type)


class World:
    """A cache, and a process that reads it."""

    def __init__(self) -> None:
        self.cache = PlayedHashes()
        self.moment = 0.0
        self.process = PublishedStatistics(self.cache.as_cache(), lambda: self.moment)

    def publish(self, devices: Iterable[Device], mean: float = 1.0) -> None:
        for device in devices:
            publish_statistics(self.cache.as_cache(), shard_of(*device), {device: describe(mean)})

    def watch(self, device: Device, value: bytes) -> None:
        self.cache.hashes[name_watched(shard_of(*device))][name_device(*device)] = value

    def mean(self, device: Device) -> float | None:
        found = self.process.find([device])[device].statistics
        return None if found is None else found.series["cpu_temp"].recent.mean


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_published_is_found_and_expires(world: World) -> None:
    world.publish(DEVICES[:3])
    found = world.process.find(DEVICES[:4])
    assert [found[device].statistics for device in DEVICES[:4]] == [*[describe(1.0)] * 3, None]
    assert set(world.cache.seconds.values()) == {statistics.KEEP_SECONDS}


def test_a_batch_takes_one_trip_and_two_commands_for_each_shard_at_most(world: World) -> None:
    world.publish(DEVICES)
    trips, commands = world.cache.trips, world.cache.commands
    world.process.find(DEVICES)
    assert (world.cache.trips - trips, world.cache.commands - commands) == (1, 2 * SHARDS)
    world.process.find(DEVICES)
    world.process.find([])
    assert world.cache.trips - trips == 1
    # The statistics are remembered for longer than what is watched.
    world.moment = statistics.WATCHED_SECONDS + 1
    world.process.find(DEVICES)
    assert (world.cache.trips - trips, world.cache.commands - commands) == (2, 3 * SHARDS)


def test_a_process_reads_what_is_watched_of_its_own_devices_alone(world: World) -> None:
    for device in DEVICES[1:]:
        world.watch(device, b'["hot"]')
    world.process.find(DEVICES[:2])
    assert world.cache.fields == 4  # statistics and hints of two devices
    # Each device's hint is read again after its own two seconds.
    world.moment = statistics.WATCHED_SECONDS - 0.5
    assert world.process.find(DEVICES[2:3])[DEVICES[2]].watched == {"hot"}
    world.watch(DEVICES[0], b'["hot"]')
    world.watch(DEVICES[2], b'["cold"]')
    world.moment = statistics.WATCHED_SECONDS + 0.5
    found = world.process.find(DEVICES[:3])
    assert [found[device].watched for device in DEVICES[:3]] == [{"hot"}] * 3
    world.cache.hashes.clear()
    world.moment = 2 * statistics.WATCHED_SECONDS + 1
    assert world.process.find(DEVICES[:1])[DEVICES[0]].watched == frozenset()


def test_newer_statistics_are_read_after_a_minute(world: World) -> None:
    world.publish(DEVICES[:1])
    assert world.mean(DEVICES[0]) == 1.0
    world.publish(DEVICES[:1], 2.0)
    assert world.mean(DEVICES[0]) == 1.0
    world.moment = statistics.REMEMBER_SECONDS + 1
    assert world.mean(DEVICES[0]) == 2.0


def test_while_the_cache_is_away_what_is_remembered_is_used_and_nothing_is_watched(world: World) -> None:
    world.publish(DEVICES[:1])
    world.watch(DEVICES[0], b'["hot"]')
    assert world.process.find(DEVICES[:1])[DEVICES[0]].watched == {"hot"}
    world.cache.away = True
    world.moment = 3600
    known = world.process.find(DEVICES[:2])
    assert (known[DEVICES[0]].statistics, known[DEVICES[0]].watched) == (describe(1.0), frozenset())
    assert known[DEVICES[1]].statistics is None


def test_a_flushed_cache_has_no_statistics(world: World) -> None:
    world.publish(DEVICES[:1])
    world.process.find(DEVICES[:1])
    world.cache.hashes.clear()
    world.moment = statistics.REMEMBER_SECONDS + 1
    assert world.mean(DEVICES[0]) is None


def test_the_last_known_type_of_a_device_stays_while_its_statistics_are_gone(world: World) -> None:
    press, lathe, new = DEVICES[:3]
    for device, device_type in ((press, "press"), (lathe, None)):
        publish_statistics(world.cache.as_cache(), shard_of(*device), {device: describe(1.0, device_type)})
    world.process.find(DEVICES[:3])
    world.cache.hashes.clear()
    for _ in range(3):
        world.moment += statistics.REMEMBER_SECONDS + 1
        found = world.process.find(DEVICES[:3])
        assert [found[device].device_type for device in (press, lathe, new)] == ["press", None, UNKNOWN_TYPE]
        assert found[press].statistics is None
    publish_statistics(world.cache.as_cache(), shard_of(*press), {press: describe(1.0, "robot")})
    world.moment += statistics.REMEMBER_SECONDS + 1
    assert world.process.find([press])[press].device_type == "robot"


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b"\xff"])
def test_a_hint_that_cannot_be_read_watches_nothing(world: World, value: bytes) -> None:
    world.watch(DEVICES[0], value)
    assert world.process.find(DEVICES[:1])[DEVICES[0]].watched == frozenset()
    assert find_watched(world.cache.as_cache(), shard_of(*DEVICES[0])) == {}


def test_a_process_does_not_remember_more_and_more_devices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_REMEMBERED", 100)
    for start in range(0, 1000, 50):
        world.process.find(DEVICES[start : start + 50])
    assert len(world.process._remembered) <= 150
    assert len(world.process._watched) <= 150


def test_a_full_memory_keeps_what_is_known_of_the_devices_of_the_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "MOST_REMEMBERED", 1)
    world.publish(DEVICES[:3])
    world.watch(DEVICES[1], b'["hot"]')
    world.process.find(DEVICES[:2])
    found = world.process.find(DEVICES[1:3])
    assert [found[device].statistics for device in DEVICES[1:3]] == [describe(1.0)] * 2
    assert found[DEVICES[1]].watched == {"hot"}
    assert set(world.process._remembered) == set(DEVICES[1:3])


def test_devices_that_are_gone_leave_the_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "FIELDS", 4)
    cache = world.cache.as_cache()
    publish_statistics(cache, 3, dict.fromkeys(DEVICES[:10], describe(1.0)))
    publish_statistics(cache, 3, dict.fromkeys(DEVICES[:9], describe(2.0)))
    assert len(world.cache.hashes[name_statistics(3)]) == 10
    publish_statistics(cache, 3, dict.fromkeys(DEVICES[:3], describe(3.0)))
    assert [list(held) for held in world.cache.hashes.values()] == [[name_device(*device) for device in DEVICES[:3]]]
    publish_statistics(cache, 3, {})
    world.cache.away = True
    with pytest.raises(CacheAwayError):
        publish_statistics(cache, 3, {DEVICES[0]: describe(1.0)})


def test_learn_finds_what_is_watched_in_a_shard(world: World) -> None:
    shard = shard_of(*DEVICES[0])
    world.watch(DEVICES[0], json.dumps(["hot", "default-silence"]).encode())
    assert find_watched(world.cache.as_cache(), shard) == {DEVICES[0]: {"hot", "default-silence"}}
    world.cache.away = True
    assert find_watched(world.cache.as_cache(), shard) == {}
