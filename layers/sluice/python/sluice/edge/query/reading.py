"""Asking the database for what readers want to know: one JSON document for each question, in bounded time.

The database writes the JSON itself: one value travels, and what we look into is read into types in one step. What is
only told on stays as the statement writes it.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from sluice.core.breaker import Breaker
from sluice.core.errors import Refusal
from sluice.edge.database import Database, TooSlowError

Document = TypeVar("Document")

# A database that just failed is not asked again by every request: finding it away takes up to two seconds.
LEAVE_ALONE_SECONDS = 2.0


def as_json(values: object) -> str:
    """Write a list for a parameter: whatever is in it, the database takes it for values."""
    return msgspec.json.encode(values).decode()


class Reader:
    """Reads documents from a database that may be away."""

    def __init__(self, database: Database, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._breaker = Breaker("the database", LEAVE_ALONE_SECONDS, clock)
        self._no_more_from = float("inf")

    def begin(self) -> None:
        """Begin an answer: so long after this, no more is asked for it."""
        self._no_more_from = self._clock() + self._seconds

    def read(self, kind: type[Document], sql: str, *parameters: str) -> Document:
        """Ask for one document; Retryable while the database is away."""
        if self._clock() >= self._no_more_from:
            raise _refuse_slow()
        with self._breaker.asking():
            try:
                found = self._database.ask(sql, *parameters)
            except TooSlowError as error:
                raise _refuse_slow() from error
        return msgspec.json.decode(b"null" if found is None else found, type=kind)


def _refuse_slow() -> Refusal:
    return Refusal(503, "too_slow", "The answer takes too long: ask for a shorter range, or for a coarser resolution.")
