"""Cursors: where the next page begins, in a form that is opaque to callers.

A cursor belongs to its question and carries a checksum: a mistyped cursor, or one of another question, is refused
without a lookup. It is not a secret and grants nothing: the key decides what a reader may see.
"""

import base64
import binascii
import hashlib
from typing import TypeVar

import msgspec

from sluice.core.errors import Refusal

CHECKSUM_BYTES = 6
# A page of devices continues after a name, which may have 512 bytes.
MOST_CHARACTERS = 1024

Position = TypeVar("Position", bound=msgspec.Struct)


def write_cursor(question: str, position: msgspec.Struct) -> str:
    """Write where a question continues."""
    body = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_checksum(question, body) + body).decode().rstrip("=")


def read_cursor(text: str, question: str, kind: type[Position]) -> Position:
    """Read where a question continues, or refuse a cursor that was not written for it."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        checksum, body = raw[:CHECKSUM_BYTES], raw[CHECKSUM_BYTES:]
        if checksum == _checksum(question, body):
            return msgspec.json.decode(body, type=kind)
    except (binascii.Error, ValueError):
        pass
    raise Refusal(
        400,
        "invalid_cursor",
        "This cursor is not valid, or it belongs to another question. Start again without it.",
        "cursor",
    )


def _checksum(question: str, body: bytes) -> bytes:
    name = hashlib.blake2b(question.encode(), digest_size=16).digest()
    return hashlib.blake2b(name + body, digest_size=CHECKSUM_BYTES).digest()
