"""What is used of the context Lambda gives an invocation."""

from typing import Protocol


class Context(Protocol):
    """An invocation's end is known from its beginning."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long it is until the function is stopped."""


LAST_SECONDS = 2.0
"""What an invocation keeps to say how it ended."""


def seconds_left(context: Context) -> float:
    """Say how long it is until the function is stopped."""
    return context.get_remaining_time_in_millis() / 1000


def seconds_to_work(context: Context) -> float:
    """Say how long an invocation may wait for others, so that it ends before it is stopped."""
    return max(0.0, seconds_left(context) - LAST_SECONDS)
