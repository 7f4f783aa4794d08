"""When simulated events happen: in minutes that have ended and are not late. Their numbers can soon be checked."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: How long ago an event may have happened: its minute is closed as soon as it is received, and it is not late.
LATEST, EARLIEST = timedelta(minutes=3), timedelta(minutes=55)


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)


def ended_minutes(seed: int, live_share: float = 0.0) -> Callable[[], datetime]:
    """A clock that shows some moment of the last hour whose minute has ended; for a share of the events, now."""
    draw = random.Random(seed)  # noqa: S311 - a simulation wants to be repeatable

    def clock() -> datetime:
        if draw.random() < live_share:
            return now()
        return now() - LATEST - (EARLIEST - LATEST) * draw.random()

    return clock
