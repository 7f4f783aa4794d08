"""What is asked of the cache about duplicates, and what happens while it cannot be asked."""

import uuid
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from sluice.core.ledger.groups import LedgerGroup, hour_of
from sluice.core.records import Origin
from sluice.core.samples.events import Event
from sluice.edge.cache import CacheAwayError
from sluice.edge.samples.duplicate_hints import DuplicateHints
from tests.support import samples

if TYPE_CHECKING:
    from sluice.edge.cache import Cache


def event(number: int) -> Event:
    """An event of one device that differs from others by its id and offset."""
    return Event(
        origin=Origin("raw-events", 0, number),
        fleet_id="demo",
        device_id="press-0001",
        key=uuid.uuid5(uuid.NAMESPACE_OID, str(number)).bytes,
        received_at=samples.NOW,
        effective_time=samples.NOW,
        ahead=False,
        late=False,
        group=LedgerGroup("demo", hour_of(samples.NOW), "telemetry", 1),
        event_type="telemetry",
        firmware="1.0",
        metrics={},
        undeclared=(),
    )


class Away:
    """A cache that does not answer."""

    asked = 0

    def together(self, _queue: object) -> list[Any]:
        self.asked += 1
        raise CacheAwayError("away")


def test_nothing_is_suspected_while_the_cache_is_away() -> None:
    assert DuplicateHints(cast("Cache", Away())).suspects([event(1)]) == set()


def test_marking_fails_while_the_cache_is_away() -> None:
    with pytest.raises(CacheAwayError):
        DuplicateHints(cast("Cache", Away())).mark([event(1)])


def test_late_events_are_neither_asked_about_nor_marked() -> None:
    away = Away()
    late = msgspec.structs.replace(event(1), late=True)
    assert DuplicateHints(cast("Cache", away)).suspects([late]) == set()
    DuplicateHints(cast("Cache", away)).mark([late])
    assert away.asked == 0
