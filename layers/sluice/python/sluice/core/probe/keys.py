"""The keys with which probe posts and reads, and when it takes new ones."""

from datetime import datetime, timedelta

import msgspec

LIFE_DAYS = 90
"""How long its keys work. If probe is removed, its keys expire by themselves."""
RENEWED_AFTER = timedelta(days=60)
REFUSED_AFTER = timedelta(minutes=10)
"""A key works within seconds after it was made. One that is refused later does not work any more."""


class ProbeKeys(msgspec.Struct, frozen=True):
    """A key to post with, and one to read with."""

    device: str
    reader: str
    made_at: datetime

    def are_old(self, now: datetime) -> bool:
        """Return whether new ones are due."""
        return now - self.made_at >= RENEWED_AFTER

    def may_be_replaced(self, now: datetime) -> bool:
        """Return whether keys that are refused were given long enough to be known everywhere."""
        return now - self.made_at >= REFUSED_AFTER


def read_keys(text: str) -> ProbeKeys | None:
    """Read what is stored; None if nothing is yet, or nothing that can be used."""
    try:
        return msgspec.json.decode(text, type=ProbeKeys)
    except msgspec.DecodeError:
        return None
