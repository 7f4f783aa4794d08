"""Querying the database for readers: one JSON document per question, in bounded time.

The database writes the JSON itself: one value is sent, and the parts we inspect are read into types in one step. Parts
that are only passed on stay as the statement writes them.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from sluice.core.breaker import Breaker
from sluice.core.errors import Refusal
from sluice.edge.database import Database, TooSlowError

Document = TypeVar("Document")

# After a failure, requests do not ask the database for a while: each timeout takes up to two seconds.
LEAVE_ALONE_SECONDS = 2.0


def as_json(values: object) -> str:
    """Write a list for a parameter: the database treats every element as a value, never as SQL."""
    return msgspec.json.encode(values).decode()


class Reader:
    """Reads documents from a database that may be down."""

    def __init__(self, database: Database, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._breaker = Breaker("the database", LEAVE_ALONE_SECONDS, clock)
        self._no_more_from = float("inf")
        self._answered_at = float("-inf")

    def begin(self) -> None:
        """Begin an answer: this starts its time limit for queries."""
        self._no_more_from = self._clock() + self._seconds

    def has_answered_within(self, seconds: float) -> bool:
        """Return whether the database answered so short a time ago, and has not failed since."""
        return self._clock() - self._answered_at <= seconds

    def read(self, kind: type[Document], sql: str, *parameters: str) -> Document:
        """Query one document; Retryable while the database is down."""
        if self._clock() >= self._no_more_from:
            raise _refuse_slow()
        with self._breaker.asking():
            # A failure leaves it unknown.
            self._answered_at = float("-inf")
            try:
                found = self._database.ask(sql, *parameters)
            except TooSlowError as error:
                raise _refuse_slow() from error
            self._answered_at = self._clock()
        return msgspec.json.decode(b"null" if found is None else found, type=kind)


def _refuse_slow() -> Refusal:
    return Refusal(503, "too_slow", "The answer takes too long: ask for a shorter range, or for a coarser resolution.")
