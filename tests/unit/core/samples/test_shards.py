from collections import Counter

from sluice.core.samples.shards import SHARDS, shard_of


def test_a_shard_is_the_same_for_ever() -> None:
    """Samples and windows are stored under these numbers: another hash would separate them."""
    assert [shard_of("demo", f"press-{number:04d}") for number in range(6)] == [9, 61, 36, 0, 0, 59]
    assert shard_of("demo", None) == 18


def test_devices_spread_evenly() -> None:
    counts = Counter(shard_of("demo", f"press-{number:05d}") for number in range(50_000))
    assert set(counts) == set(range(SHARDS))
    assert max(counts.values()) < 1.25 * 50_000 / SHARDS


def test_where_a_fleets_name_ends_makes_a_difference() -> None:
    pairs = [("a", "bc"), ("ab", "c")]
    assert len({shard_of(fleet * 3, device * 3) for fleet, device in pairs}) == 2
