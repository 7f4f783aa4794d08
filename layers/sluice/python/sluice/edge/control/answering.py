"""Answers to admins: one thing, or a page of a list."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sluice.core.api.answers import Answer
from sluice.core.control.requests import AdminRequest
from sluice.core.query.cursors import MOST_CHARACTERS, Position, read_cursor, write_cursor
from sluice.core.query.parameters import Parameters

DEFAULT_ITEMS, MOST_ITEMS = 100, 1000
PAGE = ("cursor", "limit")


class After(msgspec.Struct, frozen=True):
    """Where a list continues."""

    id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z-]+\Z")]


FIRST = After("")
"""Before every id."""


def answer(request: AdminRequest, status: int, body: Mapping[str, Any]) -> Answer:
    """Answer with a document; one that counts its changes has its version as its tag."""
    headers = {
        "content-type": "application/json",
        "x-correlation-id": request.correlation_id,
        # An answer may hold a key.
        "cache-control": "no-store",
    }
    if "version" in body:
        headers["etag"] = f'"{body["version"]}"'
    return Answer(status, headers, msgspec.json.encode(body))


def read_page(given: Parameters, question: str, kind: type[Position], first: Position) -> tuple[Position, int]:
    """Read after which item a page begins, and how many it has at most."""
    cursor = given.text("cursor", MOST_CHARACTERS)
    after = first if cursor is None else read_cursor(cursor, question, kind)
    return after, given.whole("limit", 1, MOST_ITEMS, DEFAULT_ITEMS)


def answer_page(
    request: AdminRequest,
    question: str,
    items: Sequence[dict[str, Any]],
    most: int,
    position: Callable[[Any], msgspec.Struct],
) -> Answer:
    """Answer with a page; one item more than it holds shows that another page exists."""
    shown = items[:most]
    more = len(items) > most
    cursor = write_cursor(question, position(shown[-1])) if more else None
    return answer(request, 200, {"items": shown, "next_cursor": cursor})
