"""Asking the database for what readers want to know: one JSON document for each question, in bounded time.

The database writes the JSON itself: one value travels, and it is read into types in one step.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
import psycopg

from sluice.core.errors import Refusal, Retryable
from sluice.edge.database import Database

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
        self._away_until = 0.0
        self._no_more_from = float("inf")

    def begin(self) -> None:
        """Begin an answer: so long after this, no more is asked for it."""
        self._no_more_from = self._clock() + self._seconds

    def read(self, kind: type[Document], sql: str, *parameters: str) -> Document:
        """Ask for one document."""
        if self._clock() >= self._no_more_from:
            raise _refuse_slow()
        if self._clock() < self._away_until:
            raise Retryable("the database was away a moment ago")
        try:
            found = self._database.ask(sql, *parameters)
        except psycopg.errors.QueryCanceled as error:
            raise _refuse_slow() from error
        except psycopg.OperationalError as error:
            self._away_until = self._clock() + LEAVE_ALONE_SECONDS
            raise Retryable(f"the database does not answer: {error}") from error
        return msgspec.json.decode(b"null" if found is None else found, type=kind)


def _refuse_slow() -> Refusal:
    return Refusal(503, "too_slow", "The answer takes too long: ask for a shorter range, or for a coarser resolution.")
