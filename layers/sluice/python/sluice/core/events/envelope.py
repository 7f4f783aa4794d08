"""What we know of an event beside its bytes, as one header of its Kafka record.

One compact header and not several: Lambda receives header bytes as JSON integers, about four characters a byte.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from sluice.core.errors import Poison

HEADER = "sluice"
VERSION = 1


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """Who sent the event, when we received it, and under which contract it was accepted."""

    version: int
    received_at: Annotated[datetime, msgspec.Meta(tz=True)]
    fleet_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]  # as the database has them
    contract: str
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]  # the tables' int
    flags: tuple[str, ...]
    correlation_id: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode


def write_envelope(envelope: Envelope) -> bytes:
    """Write the header's value."""
    return _encode(envelope)


def read_envelope(header: bytes | None) -> Envelope:
    """Read the header's value; a record without a readable one is not from our edge."""
    if header is None:
        raise Poison(f"the record has no {HEADER} header")
    try:
        envelope = _decode(header)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise Poison(f"the {HEADER} header cannot be read: {error}") from error
    if envelope.version != VERSION:
        raise Poison(f"the {HEADER} header has version {envelope.version}; this code reads {VERSION}")
    return envelope
