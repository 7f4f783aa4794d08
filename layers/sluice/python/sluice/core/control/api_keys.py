"""Keys as admins make, rotate and revoke them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from sluice.core.api.keys import ID_LENGTH, SECRET_LENGTH, compose_key, hash_key
from sluice.core.errors import Refusal
from sluice.core.times import write_optional, write_time

Role = Literal["device", "reader"]
State = Literal["active", "rotated", "expired", "revoked"]
LEAST_DAYS, MOST_DAYS = 0.01, 3650
MOST_KEYS = 10_000
"""Each process that checks keys has all of them in memory."""


class KeyPeriods(msgspec.Struct, frozen=True):
    """How long keys are valid."""

    overlap: timedelta
    """How long a rotated key still works beside its successor."""
    reader: timedelta
    """How long a reader's key works unless the admin says otherwise."""


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin sends to create a key."""

    role: Role
    expires_in_days: Annotated[float, Meta(ge=LEAST_DAYS, le=MOST_DAYS)] | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is stored, without its hash."""

    key_id: str
    fleet_id: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    successor: str | None = None
    """The id of the key that replaces this one."""

    def state(self, now: datetime) -> State:
        """Say whether it works."""
        # Whenever that was: a change that arrived before the revocation may be decided after it.
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active" if self.successor is None else "rotated"

    def described(self, now: datetime) -> dict[str, Any]:
        """Write it as answers and the audit show it."""
        return {
            "key_id": self.key_id,
            "fleet_id": self.fleet_id,
            "role": self.role,
            "state": self.state(now),
            "created_at": write_time(self.created_at),
            "expires_at": write_optional(self.expires_at),
            "revoked_at": write_optional(self.revoked_at),
            "successor": self.successor,
        }


class MadeKey(msgspec.Struct, frozen=True):
    """A new key with its text, which is shown once and stored nowhere."""

    key: ApiKey
    text: str

    @property
    def secret_hash(self) -> str:
        """What is stored of the text."""
        return hash_key(self.text)


def check_number(working: int) -> None:
    """Refuse a key if so many work already."""
    if working >= MOST_KEYS:
        raise Refusal(409, "too_many_keys", f"{MOST_KEYS:,} keys work already: revoke some, or let them expire.")


def create_key(
    fleet_id: str, wanted: NewKey, stage: str, periods: KeyPeriods, now: datetime, draw: Callable[[int], str]
) -> MadeKey:
    """Make a key; draw returns that many random characters of the keys' alphabet."""
    days = wanted.expires_in_days
    default = now + periods.reader if wanted.role == "reader" else None
    expires = default if days is None else now + timedelta(days=days)
    key = ApiKey(draw(ID_LENGTH), fleet_id, wanted.role, now, expires)
    return MadeKey(key, compose_key(stage, key.key_id, draw(SECRET_LENGTH)))


def rotate_key(
    key: ApiKey, stage: str, periods: KeyPeriods, now: datetime, draw: Callable[[int], str]
) -> tuple[ApiKey, MadeKey]:
    """Return the key as it ends after the overlap, and its successor."""
    match key.state(now):
        case "rotated":
            raise Refusal(409, "key_rotated", f"Key {key.key_id} has a successor already: {key.successor}.")
        case "expired" | "revoked" as state:
            raise Refusal(409, "key_ended", f"Key {key.key_id} is {state}: create a new one.")
    life = None if key.expires_at is None else (key.expires_at - key.created_at) / timedelta(days=1)
    made = create_key(key.fleet_id, NewKey(key.role, life), stage, periods, now, draw)
    ends = now + periods.overlap
    expires = ends if key.expires_at is None else min(key.expires_at, ends)
    return replace(key, expires_at=expires, successor=made.key.key_id), made


def revoke_key(key: ApiKey, now: datetime) -> ApiKey:
    """Revoke a key; a key that was revoked before keeps its time."""
    return key if key.state(now) == "revoked" else replace(key, revoked_at=now)
