"""Signed checkpoints of the audit: what is signed, the document that is stored, and its name.

What is signed is canonical JSON (RFC 8785), stored as it was signed: a verifier needs no writer that agrees with
ours.
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal

import msgspec
import rfc8785
from msgspec import Meta

from sluice.core.control.verification import Checkpoint
from sluice.core.times import write_time

ALGORITHM: Literal["ECDSA_SHA_256"] = "ECDSA_SHA_256"
FOLDER = "checkpoints/"
MOST_VERIFIED = 100_000
"""How many new entries one run verifies and signs. The next run goes on from there."""
STRETCH = 10_000
"""How many older entries one run verifies again. The runs take turns at the stretches of a longer audit."""

# Names count down, so that a list of the bucket begins with the newest. It lasts until the year 5138.
_LAST_SECOND = 10**11 - 1


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a signature stands for: an entry had this hash at that time."""

    hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    number: Annotated[int, Meta(ge=1)]
    signed_at: datetime
    stage: str

    @property
    def checkpoint(self) -> Checkpoint:
        """The entry and its hash."""
        return Checkpoint(self.number, self.hash)

    @property
    def name(self) -> str:
        """Where it is stored."""
        return f"{FOLDER}{_LAST_SECOND - int(self.signed_at.timestamp()):011d}-{self.number}.json"

    def write(self) -> bytes:
        """Write the text that is signed."""
        return rfc8785.dumps(
            {"hash": self.hash, "number": self.number, "signed_at": write_time(self.signed_at), "stage": self.stage}
        )


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint as it is stored, with its signature."""

    checkpoint: str
    """The signed text."""
    signature: str
    """In base64."""
    key: str
    """The ARN of the key."""
    algorithm: Literal["ECDSA_SHA_256"] = ALGORITHM

    @property
    def text(self) -> bytes:
        """What was signed."""
        return self.checkpoint.encode()

    def read_signature(self) -> bytes:
        """Read the signature, or say that it is none."""
        try:
            return base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadCheckpoint("its signature is not base64") from error


class BadCheckpoint(Exception):
    """A stored checkpoint is not one that was signed for this audit."""


def write_document(text: bytes, signature: bytes, key: str) -> bytes:
    """Write a checkpoint as it is stored."""
    return msgspec.json.encode(Document(text.decode(), base64.b64encode(signature).decode(), key))


def read_document(data: bytes, stage: str | None) -> tuple[Document, Signed]:
    """Read a stored checkpoint of a stage, or say why it is none; without a stage, of any. No signature is checked."""
    try:
        document = msgspec.json.decode(data, type=Document)
        signed = msgspec.json.decode(document.text, type=Signed)
        canonical = signed.write()
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, OverflowError) as error:
        raise BadCheckpoint(f"it cannot be read: {error}") from error
    if canonical != document.text:
        raise BadCheckpoint("its text is not canonical: it was not written by Sluice")
    if stage not in (None, signed.stage):
        raise BadCheckpoint(f"it is of stage {signed.stage!r}, and not of {stage!r}")
    return document, signed


def choose_stretch(signed: int, turn: int) -> tuple[int, int]:
    """Return which signed entries a run verifies again: those after the first number, up to the second."""
    start = turn % max(1, -(-signed // STRETCH)) * STRETCH
    return start, min(start + STRETCH, signed)
