"""What we know of an event besides its bytes, as one header of its Kafka record: a JSON array.

One compact header and not several: Lambda receives header bytes as JSON integers, about four characters a byte.

Releases run side by side. Every reader ignores elements that were appended. The version rises only when an element
after the head changes its meaning or its form. A reader knows its own version and the one before.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from sluice.core.errors import Ahead, Poison

HEADER = "sluice"
VERSION = 1
REDRIVEN = "redriven"
"""The flag of an event that was a dead letter, and entered raw-events later than it was received."""

_NOTHING = b",null]"


class _Versioned(msgspec.Struct, frozen=True, array_like=True):
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


Part = TypeVar("Part", bound=_Versioned)


class Head(_Versioned, frozen=True, array_like=True):
    """The event's fleet, and the contract that accepted it.

    These elements keep their place, meaning and form in every version, so that every release can account for a record.
    """

    received_at: Annotated[datetime, msgspec.Meta(tz=True)]
    fleet_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]  # as the database has them
    contract: str
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]  # the tables' int


class Envelope(Head, frozen=True, array_like=True):
    """The head, and everything else known when the event was accepted.

    A new element goes to the end, with a default. Older records lack it, and would be poison otherwise.
    Deploy the readers before the writer (core/ingest/judge.py).
    """

    flags: tuple[str, ...]
    correlation_id: str
    original_sha256: str | None = None
    """Of a redriven event: the SHA-256 of the bytes that the device sent. Not written for any other."""


_READERS: dict[int, Callable[[bytes], Envelope]] = {VERSION: msgspec.json.Decoder(Envelope).decode}
"""Decoders by version; each returns the envelope in this release's form."""

_encode = msgspec.json.Encoder().encode
_read_version = msgspec.json.Decoder(_Versioned).decode
_read_head = msgspec.json.Decoder(Head).decode


def write_envelope(envelope: Envelope) -> bytes:
    """Write the header's value. Every event pays for its bytes: an original that there is none of is left out."""
    written = _encode(envelope)
    return written if envelope.original_sha256 is not None else written.removesuffix(_NOTHING) + b"]"


def read_head(header: bytes | None) -> Head:
    """Read the part that every version has; a record without it is not from our edge."""
    return _read(_read_head, header)


def read_envelope(header: bytes | None) -> Envelope:
    """Read the header's value; a version unknown to this release raises Ahead."""
    version = _read(_read_version, header).version
    if version in _READERS:
        return _read(_READERS[version], header)
    read_head(header)
    if version > VERSION:
        raise Ahead(f"envelope {version}")
    raise Poison(f"the {HEADER} header has version {version}, which no release reads any more")


def _read(decode: Callable[[bytes], Part], header: bytes | None) -> Part:
    if header is None:
        raise Poison(f"the record has no {HEADER} header")
    try:
        return decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(f"the {HEADER} header cannot be read: {error}") from error
