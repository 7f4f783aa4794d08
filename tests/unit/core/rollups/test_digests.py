"""Digests add up in any order, and their percentiles are as exact as the sensor."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.rollups.digests import merge_digests, middle_of, percentile
from tests.support.recomputation import percentile as exact

Row = tuple[list[int], list[int]]

RESOLUTION = 0.5
ROWS = st.lists(
    st.dictionaries(st.integers(0, 3 << 33), st.integers(1, 10**12), max_size=8).map(
        lambda bins: (list(bins), list(bins.values()))
    ),
    max_size=6,
)


def packed(metric: int, number: int) -> int:
    """A bin as the database packs it."""
    return (metric << 32) + number + 2**31


def test_metrics_are_kept_apart_and_bins_may_lie_below_zero() -> None:
    rows = [([packed(1, -4), packed(1, 0), packed(2, 7)], [1, 2, 3]), ([packed(1, 0), packed(2, -7)], [10, 20])]
    assert merge_digests(rows) == {1: {-4: 1, 0: 12}, 2: {7: 3, -7: 20}}
    assert merge_digests([]) == {}


@given(rows=ROWS, chance=st.randoms(use_true_random=False), cut=st.integers(0, 6))
def test_the_order_and_the_grouping_of_a_merge_do_not_matter(rows: list[Row], chance: Random, cut: int) -> None:
    def again(part: list[Row]) -> Row:
        merged = merge_digests(part)
        bins = {packed(metric, number): count for metric, digest in merged.items() for number, count in digest.items()}
        return list(bins), list(bins.values())

    whole = merge_digests(rows)
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert merge_digests(shuffled) == whole
    assert merge_digests([again(rows[:cut]), again(rows[cut:])]) == whole


@given(
    readings=st.lists(st.integers(-4000, 4000).map(lambda steps: steps / 7), min_size=1, max_size=60),
    share=st.sampled_from([0.0, 0.25, 0.5, 0.95, 1.0]),
)
def test_a_percentile_is_within_the_sensors_resolution(readings: list[float], share: float) -> None:
    digest: dict[int, int] = {}
    for reading in readings:
        number = round(reading / RESOLUTION)
        digest[number] = digest.get(number, 0) + 1
    found = percentile(digest, share, RESOLUTION, least=min(readings), most=max(readings))
    about, by = exact(sorted(readings), share, RESOLUTION)
    assert abs(found - about) <= by
    assert min(readings) <= found <= max(readings)


def test_a_percentile_lies_between_two_ranks_and_never_outside_what_was_measured() -> None:
    assert percentile({10: 1, 20: 1}, 0.5, 1.0, least=10, most=20) == 15
    assert percentile({10: 10**9, 20: 1}, 0.95, 1.0, least=10, most=20) == 10
    assert percentile({10: 1}, 0.95, 1.0, least=9.8, most=9.9) == 9.9
    assert percentile({10: 1}, 0.95, 1.0, least=10.1, most=10.2) == 10.1


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="without readings"):
        percentile({}, 0.5, 1.0, least=0, most=0)


@pytest.mark.parametrize("resolution", [0.01, None])
def test_bins_far_from_zero_are_a_thousandth_wide(resolution: float | None) -> None:
    first = 2**20 + 1 if resolution else 1
    begins = resolution * 2**20 if resolution else 1e-12
    assert middle_of(first, resolution) == pytest.approx(begins * math.sqrt(1.001))
    assert middle_of(-first, resolution) == -middle_of(first, resolution)
    assert middle_of(first + 1, resolution) / middle_of(first, resolution) == pytest.approx(1.001)


def test_bins_near_zero_are_as_wide_as_the_resolution() -> None:
    assert middle_of(2**20, 0.25) == 2**18
    assert middle_of(-3, 0.25) == -0.75
    assert middle_of(0, None) == 0
