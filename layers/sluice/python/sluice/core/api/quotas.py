"""What one fleet may send: a bucket of tokens that fills at a steady rate and lets bursts through."""

from datetime import datetime

import msgspec

BURST_SECONDS = 10  # a bucket holds so many seconds of its rate


class Quota(msgspec.Struct, frozen=True):
    """A fleet's rates, in events a second."""

    events: float
    rejects: float


class Bucket:
    """A bucket of tokens in one process's memory, for when the shared one cannot be asked."""

    def __init__(self, rate: float, now: datetime) -> None:
        self._rate = rate
        self._tokens = rate * BURST_SECONDS
        self._seen = now

    def take(self, tokens: float, now: datetime) -> bool:
        """Take tokens if there are enough; zero asks whether the bucket is in debt.

        More than a bucket holds is given on credit when it is full: a batch must not be too large for ever.
        """
        self._fill(now)
        if self._tokens < min(tokens, self._rate * BURST_SECONDS):
            return False
        self._tokens -= tokens
        return True

    def charge(self, tokens: float, now: datetime) -> None:
        """Take tokens for what has already happened, whether they are there or not."""
        self._fill(now)
        self._tokens -= tokens

    def _fill(self, now: datetime) -> None:
        elapsed = max(0.0, (now - self._seen).total_seconds())
        self._tokens = min(self._rate * BURST_SECONDS, self._tokens + elapsed * self._rate)
        self._seen = max(self._seen, now)
