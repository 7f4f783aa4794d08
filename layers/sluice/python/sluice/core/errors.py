"""The named failures. Each class says how to handle it."""

from collections.abc import Mapping
from typing import Any

import msgspec


class Advice(msgspec.Struct, frozen=True):
    """Advice to a refused caller: which share of its events to send, and when to retry."""

    sample: float
    retry_after: int


class Refusal(Exception):
    """A request that is refused as a whole."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        parameter: str | None = None,
        advice: Advice | None = None,
        current: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.parameter = parameter  # of the query string, if one is refused
        self.advice = advice  # under pressure
        self.current = current  # what the caller would have overwritten


class Unparsable(Refusal):
    """A body of a known fleet that cannot be split into events; it becomes one dead letter."""

    def __init__(self, code: str, detail: str, body: bytes) -> None:
        super().__init__(400, code, detail)
        self.body = body


class Violation(msgspec.Struct, frozen=True):
    """One schema rule that a document breaks, and where."""

    path: str
    rule: str
    message: str


class Rejection(Exception):
    """One event that breaks its contract; the rest of the request continues."""

    def __init__(self, code: str, message: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = violations


class Retryable(Exception):
    """A service failed; the same work may succeed later."""


class Poison(Exception):
    """A record that fails at every attempt."""

    reason = "poison_record"
    attempts = 1


class Killer(Poison):
    """A record that breaks its consumer: it raises an unexpected exception or ends the process."""

    reason = "killer_record"

    def __init__(self, detail: str, attempts: int, *, deadly: bool) -> None:
        super().__init__(detail)
        self.attempts = attempts
        self.deadly = deadly  # a record that ended a process is not parsed again for its letter


class Ahead(Exception):
    """A record that a newer release wrote. It is neither poison nor a failure: the next release can read it.

    The consumer holds it for a while. After that it becomes a dead letter that can be run again.
    """

    reason = "version_ahead"
    attempts = 1

    def __init__(self, unknown: str) -> None:
        super().__init__(f"this release does not know {unknown}")
        self.unknown = unknown


class Conflict(Exception):
    """An event with an earlier event's id and other bytes. The earlier one counts."""

    reason = "conflict"
    attempts = 1


Fault = Poison | Ahead
"""Why a consumer cannot read a record."""
