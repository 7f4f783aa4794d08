"""Creating, changing and archiving fleets."""

from datetime import UTC, datetime

import msgspec
import pytest

from sluice.core.control.fleets import Fleet, FleetChange, NewFleet, archive_fleet, change_fleet, create_fleet
from sluice.core.errors import Refusal

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def fleet() -> Fleet:
    return create_fleet(NewFleet("f"), "eu-west-1", NOW)


def test_a_fleet_is_at_home_where_it_is_made_unless_it_is_said() -> None:
    assert fleet().home_region == "eu-west-1"
    assert create_fleet(NewFleet("f", home_region="us-east-1"), "eu-west-1", NOW).home_region == "us-east-1"


def test_what_a_change_leaves_out_stays() -> None:
    changed = change_fleet(fleet(), FleetChange(events_per_second=7))
    assert (changed.events_per_second, changed.rejects_per_second, changed.version) == (7, 50, 2)


def test_a_change_that_changes_nothing_leaves_the_version() -> None:
    assert change_fleet(fleet(), FleetChange()) == fleet()
    assert change_fleet(fleet(), FleetChange(events_per_second=1000)) == fleet()


def test_an_archived_fleet_does_not_change() -> None:
    archived = archive_fleet(fleet(), NOW)
    assert (archived.state, archived.version) == ("archived", 2)
    with pytest.raises(Refusal, match="archived"):
        archive_fleet(archived, NOW)
    with pytest.raises(Refusal, match="archived"):
        change_fleet(archived, FleetChange(events_per_second=7))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"fleet_id": "F"}',
        b'{"fleet_id": "f\\n"}',
        b'{"fleet_id": "f", "events_per_second": 0}',
        b'{"fleet_id": "f", "rejects_per_second": 1e10}',
        b'{"fleet_id": "f", "home_region": "mars"}',
        b'{"fleet_id": "f", "home_region": "us-east-1\\n"}',
        b'{"fleet_id": "f", "quota": 5}',
        b'{"fleet_id": "f", "events_per_second": NaN}',
    ],
)
def test_what_cannot_be_stored_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body, type=NewFleet)
