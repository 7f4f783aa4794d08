"""The published pressure snapshot: it expires, is read rarely, and ingest works without it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from sluice.core.ingest.pressure import UnknownPressureError
from sluice.edge.cache import CacheAwayError
from sluice.edge.ingest.pressure import MEMORY_SECONDS, NAME, Pressure, Snapshots
from tests.support.samples import NOW

if TYPE_CHECKING:
    from sluice.edge.cache import Cache


class Shared:
    """A cache with one value, or away."""

    def __init__(self) -> None:
        self.away = False
        self.value: bytes | None = None
        self.kept: list[int] = []
        self.asked = 0

    def get(self, name: str) -> bytes | None:
        assert name == NAME
        self.asked += 1
        if self.away:
            raise CacheAwayError("away")
        return self.value

    def put(self, name: str, value: bytes, seconds: int) -> None:
        assert name == NAME
        if self.away:
            raise CacheAwayError("away")
        self.value = value
        self.kept.append(seconds)


class Place:
    """A cache, a process that asks it, and that process's clock."""

    def __init__(self) -> None:
        self.shared, self.seconds = Shared(), 100.0
        self.snapshots = Snapshots(cast("Cache", self.shared))
        self.pressure = Pressure(self.snapshots, lambda: self.seconds)

    def share(self) -> float:
        """Move the clock past the remembered snapshot, and read."""
        self.seconds += MEMORY_SECONDS
        self.pressure.refresh(self.now)
        return self.pressure.share(self.now)

    @property
    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_is_published_is_read_and_ends_with_its_time(place: Place) -> None:
    place.snapshots.publish(0.5, place.now, 180)
    assert place.shared.kept == [180]
    assert place.share() == 0.5
    assert place.pressure.share(place.now + timedelta(seconds=180)) == 0


def test_it_is_asked_for_every_few_seconds_and_not_by_every_request(place: Place) -> None:
    place.snapshots.publish(0.5, place.now, 180)
    for _ in range(1000):
        place.seconds += MEMORY_SECONDS / 500
        place.pressure.refresh(place.now)
    assert place.shared.asked <= 3


@pytest.mark.parametrize("value", [None, b"\xff", b'{"version":2,"share":1}'])
def test_an_unusable_snapshot_is_reported_once_for_each_time_it_is_read(place: Place, value: bytes | None) -> None:
    place.shared.value = value
    with pytest.raises(UnknownPressureError):
        place.share()
    place.pressure.refresh(place.now)
    assert place.pressure.share(place.now) == 0


def test_a_cache_that_is_away_is_no_reason_to_refuse_nor_to_forget_what_still_holds(place: Place) -> None:
    place.shared.away = True
    with pytest.raises(UnknownPressureError):
        place.share()
    assert place.pressure.share(place.now) == 0
    place.shared.away = False
    place.snapshots.publish(0.5, place.now, 20)
    assert place.share() == 0.5
    place.shared.away = True
    with pytest.raises(UnknownPressureError):
        place.share()
    assert place.pressure.share(place.now) == 0.5
    place.seconds += 20
    assert place.pressure.share(place.now) == 0


def test_an_older_snapshot_than_the_known_one_changes_nothing(place: Place) -> None:
    place.snapshots.publish(0.5, place.now, 180)
    earlier = place.shared.value
    place.seconds += 1
    place.snapshots.publish(0.9, place.now, 180)
    assert place.share() == 0.9
    place.shared.value = earlier
    assert place.share() == 0.9


def test_a_snapshot_that_cannot_be_published_is_a_failure(place: Place) -> None:
    place.shared.away = True
    with pytest.raises(CacheAwayError):
        place.snapshots.publish(0.5, place.now, 180)
