"""Fleet API keys: their form, how they are stored, and when one is valid.

A key is `slc_<stage>_<key id>_<secret><checksum>`. The id finds the published key. The secret authenticates the
caller. The checksum lets us refuse a mistyped or invented key without a lookup. Only a hash of the whole key is stored.
The secret is 43 random base-62 characters (256 bits), so a plain SHA-256 resists brute force.
"""

import hashlib
import hmac
import re
import zlib
from datetime import datetime

import msgspec

from sluice.core.errors import Refusal

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 16
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
KEYS = "keys"
"""The name of the document in which they are published."""

_SHAPE = re.compile(
    rf"slc_(?P<stage>[a-z0-9-]{{1,32}})_(?P<id>[0-9A-Za-z]{{{ID_LENGTH}}})"
    rf"_(?P<secret>[0-9A-Za-z]{{{SECRET_LENGTH}}})(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


class Site(msgspec.Struct, frozen=True):
    """The deployment at which a key is presented."""

    stage: str
    region: str


class PublishedKey(msgspec.Struct, frozen=True):
    """A key as it is published, with what its fleet may send."""

    key_id: str
    fleet_id: str
    role: str
    secret_hash: str
    events_per_second: float
    rejects_per_second: float
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    home_region: str | None = None
    """Where the fleet's data must stay; None if no admin has said so."""

    @property
    def end(self) -> datetime | None:
        """When it ends, or ended; None if it does not."""
        return min((at for at in (self.revoked_at, self.expires_at) if at is not None), default=None)

    def works(self, now: datetime) -> bool:
        """Return whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class PresentedKey(msgspec.Struct, frozen=True):
    """A well-formed key as a caller presented it."""

    key_id: str
    secret_hash: str


def compose_key(stage: str, key_id: str, secret: str) -> str:
    """Write a key from its parts."""
    body = f"slc_{stage}_{key_id}_{secret}"
    return body + _checksum(body)


def parse_key(text: str | None, stage: str) -> PresentedKey:
    """Read a presented key, or refuse it without a lookup."""
    if not text:
        raise Refusal(401, "missing_key", "Send the fleet's API key in the x-api-key header.")
    shape = _SHAPE.fullmatch(text)
    if shape is None or not hmac.compare_digest(_checksum(text[:-CHECKSUM_LENGTH]), shape["checksum"]):
        raise Refusal(401, "malformed_key", "The value of x-api-key is not a Sluice key; was it copied whole?")
    if shape["stage"] != stage:
        raise Refusal(401, "unknown_key", "This key belongs to another deployment.")
    return PresentedKey(shape["id"], hash_key(text))


def hash_key(text: str) -> str:
    """Hash a key as it is stored."""
    return hashlib.sha256(text.encode()).hexdigest()


def open_with(
    presented: PresentedKey, stored: PublishedKey | None, role: str, region: str, now: datetime
) -> PublishedKey:
    """Return the stored key that a presented key matches, or refuse it with the reason."""
    expected = stored.secret_hash if stored else hash_key("")
    # Compared even when no such key exists, so that the response time does not reveal whether it does.
    if not hmac.compare_digest(presented.secret_hash, expected) or stored is None:
        raise Refusal(401, "unknown_key", "This key is not known here.")
    if stored.revoked_at is not None and stored.revoked_at <= now:
        raise Refusal(401, "revoked_key", "This key was revoked.")
    if stored.expires_at is not None and stored.expires_at <= now:
        raise Refusal(401, "expired_key", "This key has expired.")
    if stored.role != role:
        raise Refusal(403, "wrong_role", f"This key is for a {stored.role}; this route is for a {role}.")
    if stored.home_region not in (None, region):
        raise Refusal(403, "wrong_region", f"This fleet's home is {stored.home_region}, and this is {region}.")
    return stored


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
