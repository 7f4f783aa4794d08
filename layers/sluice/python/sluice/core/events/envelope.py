"""What we know of an event beside its bytes, as one header of its Kafka record: a JSON array.

One compact header and not several: Lambda receives header bytes as JSON integers, about four characters a byte.

Releases mix. An element that is appended is an addition, and every reader ignores additions. The version rises only
when an element behind the head changes its meaning or its form. A reader knows its own version and the one before.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec

from sluice.core.errors import Ahead, Poison

HEADER = "sluice"
VERSION = 1


class _Version(msgspec.Struct, frozen=True, array_like=True):
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Head(_Version, frozen=True, array_like=True):
    """Whose event it is, and by which contract it was accepted.

    These elements keep their place, meaning and form in every version, so that every release can account for a record.
    """

    received_at: Annotated[datetime, msgspec.Meta(tz=True)]
    fleet_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]  # as the database has them
    contract: str
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]  # the tables' int


class Envelope(Head, frozen=True, array_like=True):
    """The head, and what else was known when the event was accepted."""

    flags: tuple[str, ...]
    correlation_id: str


_READERS: dict[int, Callable[[bytes], Envelope]] = {VERSION: msgspec.json.Decoder(Envelope).decode}
"""By the version that they read: each returns the envelope in the form of this release."""

_encode = msgspec.json.Encoder().encode
_read_version = msgspec.json.Decoder(_Version).decode
_read_head = msgspec.json.Decoder(Head).decode


def write_envelope(envelope: Envelope) -> bytes:
    """Write the header's value."""
    return _encode(envelope)


def read_head(header: bytes | None) -> Head:
    """Read what every version says; a record that does not say it is not from our edge."""
    if header is None:
        raise Poison(f"the record has no {HEADER} header")
    try:
        return _read_head(header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(error) from error


def read_envelope(header: bytes | None) -> Envelope:
    """Read the header's value; a later version than this release knows is ahead."""
    if header is None:
        raise Poison(f"the record has no {HEADER} header")
    try:
        version = _read_version(header).version
        if version in _READERS:
            return _READERS[version](header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(error) from error
    read_head(header)
    if version > VERSION:
        raise Ahead(f"envelope {version}")
    raise Poison(f"the {HEADER} header has version {version}, which no release reads any more")


def _unreadable(error: Exception) -> Poison:
    return Poison(f"the {HEADER} header cannot be read: {error}")
