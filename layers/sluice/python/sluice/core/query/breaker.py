"""A breaker: after some failures in a row a service is left alone for a while, and then tried by one caller."""

from datetime import datetime, timedelta


class Breaker:
    """Says whether a service may be asked now."""

    def __init__(self, failures: int, rest: timedelta) -> None:
        self._most = failures
        self._rest = rest
        self._failures = 0
        self._left_alone_until: datetime | None = None

    def lets(self, now: datetime) -> bool:
        """Say whether to ask; once the rest is over, the one caller that is let through tries for all."""
        if self._left_alone_until is None:
            return True
        if now < self._left_alone_until:
            return False
        self._left_alone_until = now + self._rest
        return True

    def succeeded(self) -> None:
        """Remember that the service answered."""
        self._failures = 0
        self._left_alone_until = None

    def failed(self, now: datetime) -> None:
        """Remember that it did not."""
        self._failures += 1
        if self._failures >= self._most:
            self._left_alone_until = now + self._rest
