"""A token bucket, as API Gateway throttles a route."""

import time
from collections.abc import Callable

from local.models.config import ThrottleConfig


class Throttle:
    """Admits `rate` requests a second on average and `burst` at once."""

    def __init__(self, limits: ThrottleConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._tokens = limits.burst
        self._filled = clock()

    def admits(self) -> bool:
        """Takes a token, if there is one."""
        now = self._clock()
        self._tokens = min(self._limits.burst, self._tokens + (now - self._filled) * self._limits.rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
