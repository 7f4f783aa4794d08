"""A circuit breaker: after failures, calls to a service stop for a while before one caller tries it again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sluice.core.errors import Retryable


class Breaker:
    """Decides whether to call a service now, so that callers do not each wait for one that is down."""

    def __init__(
        self,
        service: str,
        rest_seconds: float,
        clock: Callable[[], float],
        *,
        failures: int = 1,
        error: type[Retryable] = Retryable,
    ) -> None:
        """Open after so many failures in a row and stay open for the rest time; while open, asking raises the error."""
        self._service = service
        self._rest = rest_seconds
        self._clock = clock
        self._most = failures
        self._error = error
        self._failures = 0
        self._rests_until: float | None = None

    @property
    def closed(self) -> bool:
        """Return whether the service is trusted: it is not resting, and no caller is trying it after a rest."""
        return self._rests_until is None

    def lets(self) -> bool:
        """Return whether to call; after the rest, the first caller that is let through tries for all others."""
        if self._rests_until is None:
            return True
        now = self._clock()
        if now < self._rests_until:
            return False
        self._rests_until = now + self._rest
        return True

    def note(self, *, answered: bool) -> None:
        """Remember whether the service answered."""
        if answered:
            self._failures, self._rests_until = 0, None
            return
        self._failures += 1
        if self._failures >= self._most:
            self._rests_until = self._clock() + self._rest

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Call the service within this block. Retryable counts as a failure; any other end shows that it answered."""
        if not self.lets():
            raise self._error(f"{self._service} did not answer a moment ago")
        answered = True
        try:
            yield
        except Retryable:
            answered = False
            raise
        finally:
            self.note(answered=answered)
