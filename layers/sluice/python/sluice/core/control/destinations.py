"""Destinations as admins write them. Their addresses and keys are secrets, which stay in Secrets Manager."""

import math
import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from sluice.core.detect.series_rules import Severity
from sluice.core.errors import Refusal
from sluice.core.notify.destinations import DestinationKind, secrets_of
from sluice.core.times import write_optional, write_time

MOST_DESTINATIONS = 200
MOST_MINUTES = 7 * 24 * 60
"""How long after its opening an incident is escalated at the latest."""

TEST_AGAIN = timedelta(minutes=1)
"""How long after a test a destination is tested again: a test must not become a flood."""
TEST_ANOTHER = timedelta(seconds=15)
"""How long after a test any other destination is tested. As long as notify may take for one, two have begun."""

DestinationId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]

_SECRET = re.compile(r"[0-9A-Za-z/_+=.@-]{1,128}")


class NewDestination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin sends to create a destination."""

    destination_id: str
    kind: DestinationKind
    secret: str
    fleet_id: str | None = None
    least_severity: Severity = "warning"
    after_minutes: int = 0


class DestinationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin sends to change a destination; what is left out stays. Its kind and its fleet never change."""

    secret: str | UnsetType = UNSET
    least_severity: Severity | UnsetType = UNSET
    after_minutes: int | UnsetType = UNSET


class StoredDestination(msgspec.Struct, frozen=True, kw_only=True):
    """A destination as it is stored."""

    destination_id: str
    fleet_id: str | None
    """None: incidents of every fleet."""
    kind: DestinationKind
    secret: str
    least_severity: Severity
    after_minutes: int
    created_at: datetime
    archived_at: datetime | None = None
    version: int = 1

    @property
    def state(self) -> Literal["active", "archived"]:
        """Whether it is notified."""
        return "active" if self.archived_at is None else "archived"

    def described(self) -> dict[str, Any]:
        """Write it as answers and the audit show it."""
        return {
            "destination_id": self.destination_id,
            "state": self.state,
            "fleet_id": self.fleet_id,
            "kind": self.kind,
            "secret": self.secret,
            "least_severity": self.least_severity,
            "after_minutes": self.after_minutes,
            "created_at": write_time(self.created_at),
            "archived_at": write_optional(self.archived_at),
            "version": self.version,
        }


def create_destination(wanted: NewDestination, stage: str, now: datetime) -> StoredDestination:
    """Make a destination, or refuse it with the reason."""
    try:
        msgspec.convert(wanted.destination_id, DestinationId)
    except msgspec.ValidationError:
        form = "1 to 63 lower-case letters, digits and dashes, and begins with a letter or a digit"
        raise _invalid(f"destination_id is {form}.") from None
    destination = StoredDestination(
        destination_id=wanted.destination_id,
        fleet_id=wanted.fleet_id,
        kind=wanted.kind,
        secret=wanted.secret,
        least_severity=wanted.least_severity,
        after_minutes=wanted.after_minutes,
        created_at=now,
    )
    _check_values(destination, stage)
    return destination


def change_destination(destination: StoredDestination, change: DestinationChange, stage: str) -> StoredDestination:
    """Change a destination; a change that changes nothing leaves the version."""
    _check_active(destination)
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    changed = replace(destination, **given)
    _check_values(changed, stage)
    return destination if changed == destination else replace(changed, version=destination.version + 1)


def archive_destination(destination: StoredDestination, now: datetime) -> StoredDestination:
    """Archive a destination: no one is notified there any more, and its id is not used again."""
    _check_active(destination)
    return replace(destination, version=destination.version + 1, archived_at=now)


class LastTests(msgspec.Struct, frozen=True):
    """When destinations were tested last; None: never."""

    this: datetime | None
    any: datetime | None


def check_test(destination: StoredDestination, last: LastTests, now: datetime) -> None:
    """Refuse to test a destination that is not notified, or so soon after another test."""
    if destination.archived_at is not None:
        detail = f"Destination {destination.destination_id} is archived: no one is notified there any more."
        raise Refusal(409, "destination_archived", detail)
    if last.this is not None and now - last.this < TEST_AGAIN:
        wait = _seconds_until(last.this + TEST_AGAIN, now)
        detail = f"Destination {destination.destination_id} was tested a moment ago: try again in {wait} s."
        raise Refusal(429, "test_too_soon", detail)
    if last.any is not None and now - last.any < TEST_ANOTHER:
        wait = _seconds_until(last.any + TEST_ANOTHER, now)
        raise Refusal(429, "test_too_soon", f"Another destination was tested a moment ago: try again in {wait} s.")


def check_room(there: int) -> None:
    """Refuse a destination if there are so many already."""
    if there >= MOST_DESTINATIONS:
        detail = f"There are {MOST_DESTINATIONS} destinations already: archive some."
        raise Refusal(409, "too_many_destinations", detail)


def _seconds_until(moment: datetime, now: datetime) -> int:
    return math.ceil((moment - now).total_seconds())


def _check_active(destination: StoredDestination) -> None:
    if destination.archived_at is not None:
        detail = f"Destination {destination.destination_id} is archived: it does not change any more."
        raise Refusal(409, "destination_archived", detail)


def _check_values(destination: StoredDestination, stage: str) -> None:
    own = secrets_of(stage)
    # notify may read these secrets and no others: a name that leads elsewhere must not come so far.
    if not destination.secret.startswith(own) or not _SECRET.fullmatch(destination.secret.removeprefix(own)):
        raise _invalid(
            f"secret is the name of a secret that begins with {own}, followed by 1 to 128 letters, digits and any of"
            " /_+=.@-."
        )
    if not 0 <= destination.after_minutes <= MOST_MINUTES:
        raise _invalid(f"after_minutes is from 0 to {MOST_MINUTES:,}, and not {destination.after_minutes}.")


def _invalid(detail: str) -> Refusal:
    return Refusal(400, "invalid_destination", detail)
