"""The used part of Lambda's invocation context."""

from typing import Protocol


class Context(Protocol):
    """An invocation's context; its deadline is known from the start."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until Lambda stops the function."""


LAST_SECONDS = 2.0
"""Time that an invocation reserves to report its end."""


def seconds_left(context: Context) -> float:
    """Return the seconds until Lambda stops the function."""
    return context.get_remaining_time_in_millis() / 1000


def seconds_to_work(context: Context) -> float:
    """Return how long an invocation may wait for services, so that it ends before Lambda stops it."""
    return max(0.0, seconds_left(context) - LAST_SECONDS)
