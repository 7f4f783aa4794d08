"""The limits on what one request may cost; contracts, docs and tests name the same ones."""

from datetime import timedelta

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """The most that the edge accepts."""

    max_body: int = 1024 * 1024
    max_inflated: int = 4 * 1024 * 1024
    max_event: int = 32 * 1024
    max_events: int = 100
    max_depth: int = 8
    max_name: int = 64
    max_number: float = 1e15
    clock_ahead: timedelta = timedelta(minutes=5)
    late: timedelta = timedelta(hours=1)
    max_letter: int = 64 * 1024  # of an event's bytes, in its dead letter
