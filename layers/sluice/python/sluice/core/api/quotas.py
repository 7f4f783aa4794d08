"""What one fleet may send: a token bucket that fills at a steady rate and allows bursts."""

from datetime import datetime

import msgspec

BURST_SECONDS = 10  # a bucket holds so many seconds of its rate


class Quota(msgspec.Struct, frozen=True):
    """A fleet's rates, in events a second."""

    events: float
    rejects: float


class TokenBucket:
    """A token bucket in one process's memory, used when the shared one does not answer."""

    def __init__(self, rate: float, now: datetime) -> None:
        self._rate = rate
        self._tokens = rate * BURST_SECONDS
        self._seen = now

    def take(self, tokens: float, now: datetime) -> bool:
        """Take tokens if there are enough. Taking zero asks whether the bucket is in debt.

        A full bucket gives more than it holds on credit. Otherwise a large batch could never pass.
        """
        self._fill(now)
        if self._tokens < min(tokens, self._rate * BURST_SECONDS):
            return False
        self._tokens -= tokens
        return True

    def charge(self, tokens: float, now: datetime) -> None:
        """Take tokens for what has already happened, into debt if there are too few."""
        self._fill(now)
        self._tokens -= tokens

    def _fill(self, now: datetime) -> None:
        elapsed = max(0.0, (now - self._seen).total_seconds())
        self._tokens = min(self._rate * BURST_SECONDS, self._tokens + elapsed * self._rate)
        self._seen = max(self._seen, now)
