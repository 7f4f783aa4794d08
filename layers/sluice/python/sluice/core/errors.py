"""The named failures: each says what happens next to the request, the event or the record."""

import msgspec


class Advice(msgspec.Struct, frozen=True):
    """Advice to a refused caller: how much of its events to go on sending, and when to come again."""

    sample: float
    retry_after: int


class Refusal(Exception):
    """A request that gets an error as its whole answer."""

    def __init__(
        self, status: int, code: str, detail: str, parameter: str | None = None, advice: Advice | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.parameter = parameter  # of the query string, where it is one that is refused
        self.advice = advice  # under pressure


class Unparsable(Refusal):
    """A body of a known fleet in which no event can be told from another; it becomes one dead letter."""

    def __init__(self, code: str, detail: str, body: bytes) -> None:
        super().__init__(400, code, detail)
        self.body = body


class Violation(msgspec.Struct, frozen=True):
    """One rule of a schema that a document breaks, and where."""

    path: str
    rule: str
    message: str


class Rejection(Exception):
    """One event that breaks its contract; its neighbours go on."""

    def __init__(self, code: str, message: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = violations


class Retryable(Exception):
    """A service did not do its part; the same work may succeed later."""


class Poison(Exception):
    """A record that will fail however often it is tried."""

    reason = "poison_record"
    attempts = 1


class Killer(Poison):
    """A record that breaks its consumer: it raises an unforeseen exception, or it ends the whole process."""

    reason = "killer_record"

    def __init__(self, detail: str, attempts: int, *, deadly: bool) -> None:
        super().__init__(detail)
        self.attempts = attempts
        self.deadly = deadly  # what ended a process is not read again to write about it


class Ahead(Exception):
    """A record that a newer release wrote: neither poison nor a failure, since the next release can read it.

    The consumer holds it for a while. After that it becomes a dead letter that can be given again.
    """

    reason = "version_ahead"
    attempts = 1

    def __init__(self, unknown: str) -> None:
        super().__init__(f"this release does not know {unknown}")
        self.unknown = unknown


Fault = Poison | Ahead
"""Why a consumer cannot read a record."""
