"""The keys with which probe posts and reads, those in the making, and when it takes new ones."""

from datetime import datetime, timedelta

import msgspec

LIFE_DAYS = 90
"""How long its keys work. If probe is removed, its keys expire by themselves."""
RENEWED_AFTER = timedelta(days=60)
REFUSED_AFTER = timedelta(minutes=10)
"""A key works within seconds after it was made. One that is refused later does not work any more."""
TRIED_AFTER = timedelta(minutes=10)
"""Between two tries to make keys: a try that fails may leave a key behind, and runs come every minute."""
DROPPED_AFTER = timedelta(days=1)
"""A pair that is not in use by then is given up: someone may have revoked it."""


class ProbeKeys(msgspec.Struct, frozen=True):
    """A key to post with, and one to read with."""

    device: str
    reader: str
    made_at: datetime

    def are_old(self, now: datetime) -> bool:
        """Return whether new ones are due."""
        return now - self.made_at >= RENEWED_AFTER

    def have_ended(self, now: datetime) -> bool:
        """Return whether they do not work any more."""
        return now - self.made_at >= timedelta(days=LIFE_DAYS)

    def may_be_replaced(self, now: datetime) -> bool:
        """Return whether keys that are refused were given long enough to be known everywhere."""
        return now - self.made_at >= REFUSED_AFTER


class NewKeys(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pair in the making, which is kept so that a later try continues what failed or was cut."""

    began_at: datetime
    tried_at: datetime
    device: str | None = None
    reader: str | None = None

    @property
    def pair(self) -> ProbeKeys | None:
        """The pair, if both are made."""
        return ProbeKeys(self.device, self.reader, self.began_at) if self.device and self.reader else None

    def must_wait(self, now: datetime) -> bool:
        """Return whether the last try was a moment ago."""
        return now - self.tried_at < TRIED_AFTER

    def are_given_up(self, now: datetime) -> bool:
        """Return whether a new pair is begun instead."""
        return now - self.began_at >= DROPPED_AFTER

    def begin_try(self, now: datetime) -> "NewKeys":
        """Return what a try that begins now continues."""
        return NewKeys(now, now) if self.are_given_up(now) else msgspec.structs.replace(self, tried_at=now)


class KeptKeys(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the secret has: the keys in use, and those in the making."""

    keys: ProbeKeys | None = None
    new: NewKeys | None = None


def read_kept_keys(text: str) -> KeptKeys:
    """Read what is stored; no keys if nothing is yet, or nothing that can be used."""
    try:
        return msgspec.json.decode(text, type=KeptKeys)
    except msgspec.DecodeError:
        return KeptKeys()
