"""Control data as it is published: all of one kind in one document with a version. Readers keep the newest one.

The version grows with each change, so that a reader can tell an older copy, whatever its source. A document that cannot
be read never replaces one that a reader has. Neither does an empty one, unless it says that it may be empty: a stage
can do without rules, while a stage without keys has lost them.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

Item = TypeVar("Item")


MOST_VERSION = 2**53 - 1
"""Valkey's scripts count no further."""


class UnreadableError(Exception):
    """A published document is damaged, or of another kind."""


class Document(msgspec.Struct, Generic[Item], frozen=True):
    """All control data of one kind."""

    kind: str
    version: int
    items: tuple[Item, ...]
    may_be_empty: bool = False
    """Whether it means that there are none if it has no items."""

    @property
    def is_usable(self) -> bool:
        """Whether it can be what its publisher meant."""
        return bool(self.items) or self.may_be_empty


def write_document(kind: str, version: int, items: Sequence[object], *, may_be_empty: bool = False) -> bytes:
    """Write a document."""
    return msgspec.json.encode(Document(kind, version, tuple(items), may_be_empty))


def read_document(data: bytes, kind: str, of: type[Item]) -> Document[Item]:
    """Read a document of a kind."""
    try:
        document = msgspec.json.decode(data, type=Document[of])  # type: ignore[valid-type]  # known when it runs
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"the published {kind} cannot be read: {error}") from error
    if document.kind != kind or not 0 < document.version <= MOST_VERSION:
        raise UnreadableError(f"this is version {document.version} of the {document.kind}, not of the {kind}")
    return document


def replaces(new: Document[Item], held: Document[Item] | None) -> bool:
    """Return whether a reader takes a document in place of the one that it has."""
    return held is None or (new.version > held.version and (new.is_usable or not held.items))
