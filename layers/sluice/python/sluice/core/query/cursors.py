"""Cursors: where the next page begins, written so that nobody but us can give them a meaning.

A cursor belongs to the question it came with and carries a checksum: a mistyped one, or one of another question, is
refused before anything is looked up. It is no secret and opens nothing: what a reader may see is decided by the key.
"""

import base64
import binascii
import hashlib
from typing import TypeVar

import msgspec

from sluice.core.errors import Refusal

CHECKSUM_BYTES = 6
# A page of devices goes on behind a name, which may have 512 bytes.
MOST_CHARACTERS = 1024

Position = TypeVar("Position", bound=msgspec.Struct)


def write_cursor(question: str, position: msgspec.Struct) -> str:
    """Write where to go on with a question."""
    body = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_checksum(question, body) + body).decode().rstrip("=")


def read_cursor(text: str, question: str, kind: type[Position]) -> Position:
    """Read where to go on, or refuse what was not written for this question."""
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
        "This is no cursor of ours, or one of another question; start again without it.",
        "cursor",
    )


def _checksum(question: str, body: bytes) -> bytes:
    name = hashlib.blake2b(question.encode(), digest_size=16).digest()
    return hashlib.blake2b(name + body, digest_size=CHECKSUM_BYTES).digest()
