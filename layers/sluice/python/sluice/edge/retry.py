"""Waiting for a service that is down, for a bounded time, so that the invocation ends by itself."""

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from sluice.core.errors import Retryable

Answer = TypeVar("Answer")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


class Retry:
    """Retries an action for so many seconds."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep

    def run(self, act: Callable[[], Answer]) -> Answer:
        """Retry an action until it succeeds; raise the last Retryable once the time is over."""
        end = self._clock() + self._seconds
        attempt = 0
        while True:
            try:
                return act()
            except Retryable:
                pause = pause_before(attempt)
                if self._clock() + pause > end:
                    raise
                self._sleep(pause)
                attempt += 1


def pause_before(attempt: int) -> float:
    """Return the pause before a retry: exponential backoff with jitter."""
    chance = secrets.randbelow(1000) / 1000
    return min(FIRST_PAUSE * 2.0 ** min(attempt, 16), LONGEST_PAUSE) * (0.5 + chance)
