"""The named failures: each says what happens next to whatever it befell."""

import msgspec


class Advice(msgspec.Struct, frozen=True):
    """What a refused caller is told: how much of its events to go on sending, and when to come again."""

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


class Rejection(Exception):
    """One event that breaks its contract; its neighbours go on."""

    def __init__(self, code: str, message: str, violations: tuple["Violation", ...] = ()) -> None:
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
    """A record that breaks its consumer: by an exception nobody foresaw, or with the whole process."""

    reason = "killer_record"

    def __init__(self, detail: str, attempts: int, *, deadly: bool) -> None:
        super().__init__(detail)
        self.attempts = attempts
        self.deadly = deadly  # what ended a process is not read again to write about it


class Violation:
    """One rule of a schema that a document breaks, and where."""

    __slots__ = ("message", "path", "rule")

    def __init__(self, path: str, rule: str, message: str) -> None:
        self.path = path
        self.rule = rule
        self.message = message

    def __repr__(self) -> str:
        return f"Violation({self.path!r}, {self.rule!r}, {self.message!r})"
