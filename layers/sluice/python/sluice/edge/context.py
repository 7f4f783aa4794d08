"""What is used of the context Lambda gives an invocation."""

from typing import Protocol


class Context(Protocol):
    """An invocation's end is known from its beginning."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long it is until the function is stopped."""


def seconds_left(context: Context) -> float:
    """Say how long it is until the function is stopped."""
    return context.get_remaining_time_in_millis() / 1000
