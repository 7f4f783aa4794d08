"""What a record of replay-events says besides the event: its replay, and its place in raw-events."""

from typing import Annotated

import msgspec

from sluice.core.errors import Ahead, Poison
from sluice.core.events.envelope import HEADER as ENVELOPE
from sluice.core.events.envelope import Envelope, write_envelope
from sluice.core.messages import Message

HEADER = "replay"
VERSION = 1


class Replayed(msgspec.Struct, frozen=True, array_like=True):
    """The header, an array: a new element goes to the end, with a default."""

    version: int
    replay_number: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    raw_partition: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    raw_offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Replayed).decode


def write_record(topic: str, device_id: str, event: bytes, envelope: Envelope, replayed: Replayed) -> Message:
    """Write the record of a stored event: with the envelope under which it was accepted."""
    headers = ((ENVELOPE, write_envelope(envelope)), (HEADER, _encode(replayed)))
    return Message(topic, device_id.encode(), event, headers)


def read_replayed(header: bytes | None) -> Replayed:
    """Read the header's value."""
    if header is None:
        raise Poison(f"the record has no {HEADER} header")
    try:
        replayed = _decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(f"the {HEADER} header cannot be read: {error}") from error
    if replayed.version > VERSION:
        raise Ahead(f"{HEADER} header {replayed.version}")
    return replayed
