"""Fleets as admins change them."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from sluice.core.detect.device_types import DeviceType
from sluice.core.errors import Refusal
from sluice.core.times import write_optional, write_time

LEAST_RATE, MOST_RATE = 0.001, 1e9
Rate = Annotated[float, Meta(ge=LEAST_RATE, le=MOST_RATE)]
# $ would also match before a line break at the end.
FleetId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
# Classes of retention, in days.
RetentionDays = Literal[30, 90, 180, 365, 730]
DEFAULT_RETENTION_DAYS: RetentionDays = 90
Region = Annotated[str, Meta(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}\Z", max_length=32)]


class NewFleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin sends to create a fleet."""

    fleet_id: FleetId
    events_per_second: Rate = 1000.0
    rejects_per_second: Rate = 50.0
    home_region: Region | None = None
    retention_days: RetentionDays = DEFAULT_RETENTION_DAYS
    device_type: DeviceType | None = None


class FleetChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin sends to change a fleet; what is left out stays."""

    events_per_second: Rate | UnsetType = UNSET
    rejects_per_second: Rate | UnsetType = UNSET
    home_region: Region | UnsetType = UNSET
    retention_days: RetentionDays | UnsetType = UNSET
    device_type: DeviceType | UnsetType | None = UNSET


class Fleet(msgspec.Struct, frozen=True):
    """A fleet as it is stored."""

    fleet_id: str
    events_per_second: float
    rejects_per_second: float
    home_region: str | None
    """None for a fleet made before there were admins."""
    created_at: datetime
    archived_at: datetime | None = None
    version: int = 1
    retention_days: int = DEFAULT_RETENTION_DAYS
    """The class in which its raw events are to be kept; until delivery has classes, raw's own days apply."""
    device_type: str | None = None
    """The type of its devices, where the directory names none."""

    @property
    def state(self) -> Literal["active", "archived"]:
        """Whether the fleet may have keys."""
        return "active" if self.archived_at is None else "archived"

    def described(self) -> dict[str, Any]:
        """Write it as answers and the audit show it."""
        return {
            "fleet_id": self.fleet_id,
            "state": self.state,
            "events_per_second": self.events_per_second,
            "rejects_per_second": self.rejects_per_second,
            "home_region": self.home_region,
            "retention_days": self.retention_days,
            "device_type": self.device_type,
            "created_at": write_time(self.created_at),
            "archived_at": write_optional(self.archived_at),
            "version": self.version,
        }


def create_fleet(wanted: NewFleet, region: str, now: datetime) -> Fleet:
    """Make a fleet, at home in the deployment's own region unless the admin names another."""
    return Fleet(
        wanted.fleet_id,
        wanted.events_per_second,
        wanted.rejects_per_second,
        wanted.home_region or region,
        now,
        retention_days=wanted.retention_days,
        device_type=wanted.device_type,
    )


def change_fleet(fleet: Fleet, change: FleetChange) -> Fleet:
    """Change a fleet's settings; a change that changes nothing leaves the version."""
    check_active(fleet)
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    changed = replace(fleet, **given)
    return fleet if changed == fleet else replace(changed, version=fleet.version + 1)


def archive_fleet(fleet: Fleet, now: datetime) -> Fleet:
    """Archive a fleet: its data stays, and its keys are revoked with it."""
    check_active(fleet)
    return replace(fleet, version=fleet.version + 1, archived_at=now)


def check_active(fleet: Fleet) -> None:
    """Refuse an archived fleet."""
    if fleet.archived_at is not None:
        raise Refusal(409, "fleet_archived", f"Fleet {fleet.fleet_id} is archived: it does not change any more.")
