"""A delivery: one message for one destination, as it waits in a queue."""

from datetime import datetime
from typing import TypeVar

import msgspec

from sluice.core.alerts.messages import VERSION as MESSAGE_VERSION
from sluice.core.alerts.messages import AlertMessage
from sluice.core.errors import Ahead, Poison
from sluice.core.notify.destinations import Destination

VERSION = 1

MOST_ATTEMPTS = 8
MOST_RECEIVES = 30
"""More than the attempts, and enough for an hour: what we could not do ourselves uses up none of the attempts."""
PAUSES = (2, 5, 10, 20, 40, 80, 160)
"""Seconds before each further attempt. A destination that is down for five minutes misses nothing."""
LONGEST_PAUSE = 15 * 60
"""A destination may ask for a longer pause than ours, up to this."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery."""

    version: int = VERSION
    destination_id: str
    routed_at: datetime
    message: AlertMessage

    @property
    def group(self) -> str:
        """Deliveries of a group are made one after the other: one at a time for each destination.

        So a destination that hangs holds up its own deliveries and no others, and messages of an incident keep their
        order.
        """
        return self.destination_id

    @property
    def deduplication_id(self) -> str:
        """A message that is routed twice within five minutes is delivered once."""
        return f"{self.message.incident_id}-{self.message.sequence}-{self.destination_id}"


def read_message(body: str) -> AlertMessage:
    """Read a message about an incident as SNS delivers it; raise Poison if it is none."""
    return _read(body, AlertMessage, MESSAGE_VERSION, "message about an incident")


def read_delivery(body: str) -> Delivery:
    """Read a delivery; raise Poison if it is none."""
    return _read(body, Delivery, VERSION, "delivery")


def find_destination(body: str) -> str:
    """Return the destination that a body of any release names; nothing if it is no delivery."""
    try:
        return msgspec.json.decode(body, type=_Addressed).destination_id
    except (msgspec.DecodeError, UnicodeEncodeError):
        return ""


def plan_deliveries(
    message: AlertMessage, destinations: tuple[Destination, ...], now: datetime
) -> tuple[Delivery, ...]:
    """Make a delivery for each destination."""
    return tuple(Delivery(destination_id=each.destination_id, routed_at=now, message=message) for each in destinations)


def pause_after(attempt: int, receives: int, asked: float | None) -> int | None:
    """Return the seconds until the next attempt, None after the last one; longer if the destination asked for it.

    The pauses grow with the receives: they do so even while no attempt can be counted.
    """
    if attempt >= MOST_ATTEMPTS:
        return None
    return max(pause_for_ours(receives), min(int(asked or 0), LONGEST_PAUSE))


def pause_for_ours(receives: int) -> int:
    """Return the seconds until a message comes again that could not be handled for a reason of our own."""
    return PAUSES[min(receives, len(PAUSES)) - 1]


Kind = TypeVar("Kind", AlertMessage, Delivery)


class _Addressed(msgspec.Struct):
    destination_id: str = ""


class _Versioned(msgspec.Struct):
    version: int = 1


def _read(body: str, kind: type[Kind], newest: int, name: str) -> Kind:
    try:
        version = msgspec.json.decode(body, type=_Versioned).version
        if version > newest:
            raise Ahead(f"version {version} of a {name}")
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Poison(f"this is no {name}: {error}") from error
