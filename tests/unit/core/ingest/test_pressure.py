"""Refusals under pressure: smooth, with hysteresis, and never for lack of data."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.errors import Advice
from sluice.core.ingest.pressure import (
    UnknownPressureError,
    advise,
    measure_strain,
    measure_use,
    name_level,
    read_snapshot,
    settle_share,
    share_for_slowness,
)
from sluice.core.slowness import Slowness
from tests.support.samples import NOW

strains = st.floats(-2, 3)


@pytest.mark.parametrize(
    ("used", "disk", "share"),
    [
        (0.0, 10.0, 0.0),
        (0.25, 10.0, 0.0),  # a store that was away for one hour of four
        (0.5, 70.0, 0.0),
        (0.6, 10.0, 0.4),
        (0.75, 10.0, 1.0),
        (1.9, None, 1.0),
        (0.0, 77.5, 0.5),
        (0.0, 85.0, 1.0),
        (0.6, 77.5, 0.5),
        (0.0, None, 0.0),
        (-3.0, 0.0, 0.0),  # clocks that differ
    ],
)
def test_the_measure_that_is_further_along_decides(used: float, disk: float | None, share: float) -> None:
    assert settle_share(measure_strain(used, disk), 0.0) == pytest.approx(share)


@pytest.mark.parametrize("aggregate", [0.0, 3600.0, 90_000.0])
def test_the_buffer_is_used_by_what_archive_has_not_read_and_by_nothing_else(aggregate: float) -> None:
    assert measure_use({"archive": 3600.0, "aggregate": aggregate}, buffer_seconds=14_400) == 0.25


def test_it_falls_only_from_further_down_than_where_it_rose() -> None:
    shares, share = [], 0.0
    for used in (0.45, 0.55, 0.65, 0.6, 0.56, 0.5, 0.45, 0.4, 0.39):
        share = settle_share(measure_strain(used, None), share)
        shares.append(round(share, 2))
    assert shares == [0, 0.2, 0.6, 0.6, 0.6, 0.4, 0.2, 0, 0]


def test_what_wavers_within_the_relief_changes_nothing() -> None:
    share = settle_share(measure_strain(0.65, None), 0.0)
    for used in (0.6, 0.64, 0.57, 0.65) * 3:
        assert settle_share(measure_strain(used, None), share) == share


@given(strains, strains, st.floats(0, 1))
def test_more_strain_never_refuses_less_and_every_share_is_one(low: float, high: float, before: float) -> None:
    low, high = sorted((low, high))
    assert 0 <= settle_share(low, before) <= settle_share(high, before) <= 1


@given(st.floats(0, 1))
def test_without_pressure_all_is_let_in_again_after_any_refusals(before: float) -> None:
    assert settle_share(measure_strain(0.0, 10.0), before) == 0


@pytest.mark.parametrize(("share", "level"), [(0, 0), (0.01, 1), (0.99, 1), (1, 2)])
def test_a_level_says_whether_some_or_all_is_refused(share: float, level: int) -> None:
    assert name_level(share) == level


def test_as_large_a_share_as_is_said_is_refused() -> None:
    draws = [number / 1000 for number in range(1000)]
    for share in (0.0, 0.001, 0.3, 1.0):
        refused = [draw for draw in draws if advise(share, lambda draw=draw: draw)]  # type: ignore[misc]
        assert len(refused) == round(share * 1000)


@pytest.mark.parametrize(
    ("share", "jitter", "advice"),
    [
        (0.001, 0.0, Advice(1.0, 3)),
        (0.001, 0.999, Advice(1.0, 8)),
        (0.5, 0.5, Advice(0.5, 33)),
        (1.0, 0.0, Advice(0.05, 30)),
        (1.0, 0.999, Advice(0.05, 90)),
    ],
)
def test_the_more_is_refused_the_less_is_asked_for_and_the_later(share: float, jitter: float, advice: Advice) -> None:
    draws = iter([0.0, jitter])
    assert advise(share, lambda: next(draws)) == advice


def published(**changed: object) -> bytes:
    snapshot = {"version": 1, "share": 0.5, "measured_at": NOW, "until": NOW + timedelta(minutes=3)} | changed
    return json.dumps(snapshot, default=str).encode()


def test_what_was_published_a_moment_ago_is_believed() -> None:
    assert read_snapshot(published(), NOW + timedelta(minutes=2)).share == 0.5
    # Clocks differ by a little.
    assert read_snapshot(published(), NOW - timedelta(seconds=30)).share == 0.5


@pytest.mark.parametrize(
    "found",
    [
        None,
        b"",
        b"\xff\x00",
        b"[1]",
        b'{"version": 1}',
        published(version=0),
        published(version=2),
        published(version="1"),
        published(share=1.01),
        published(share=-0.1),
        published(share=None),
        published(share="all"),
        published().replace(b"0.5", b"NaN"),
        published().replace(b"0.5", b"1e999"),
        published(until=NOW),
        published(until=NOW + timedelta(days=1)),
        published(measured_at=NOW + timedelta(hours=1), until=NOW + timedelta(hours=1, minutes=3)),
        published(measured_at="yesterday"),
        published(until="2100-01-01T00:00:00"),
    ],
    ids=repr,
)
def test_what_is_missing_garbled_old_or_of_another_version_is_not_believed(found: bytes | None) -> None:
    with pytest.raises(UnknownPressureError):
        read_snapshot(found, NOW)


def test_one_slow_flush_is_none_and_several_in_a_row_are() -> None:
    slowness, shares = Slowness(), []
    for second in range(0, 30, 5):
        slowness.add(1, second)
        shares.append(share_for_slowness(slowness.at(second)))
    assert shares[:2] == [0, 0]
    assert shares[2:] == sorted(shares[2:])
    assert 0 < shares[-1] <= 0.9


def test_slowness_is_forgotten_when_flushes_are_quick_and_when_there_are_none() -> None:
    slowness = Slowness()
    for second in range(10):
        slowness.add(1, second)
    assert share_for_slowness(slowness.at(9)) > 0.5
    assert share_for_slowness(slowness.at(9 + 30)) == 0
    for _ in range(3):
        slowness.add(0.01, 9)
    assert share_for_slowness(slowness.at(9)) == 0


def test_however_slow_it_is_some_requests_find_out_whether_it_still_is() -> None:
    assert share_for_slowness(50.0) == 0.9
