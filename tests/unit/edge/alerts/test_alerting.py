"""A batch of verdicts sends messages for a bounded time, however many wait and however slow SNS is."""

from collections.abc import Callable
from typing import Any

from sluice.edge.alerts.alerting import TELL_SECONDS, Alerting
from tests.support.alerts import SENDER, START, readings, verdict


class SlowOutbox:
    """An outbox with messages without end, each round of which takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.rounds = 0

    def send(self, may_go_on: Callable[[], bool]) -> int:
        """Send while it may."""
        while may_go_on():
            self.seconds += 1
            self.rounds += 1
        return self.rounds


class Stored(Alerting, frozen=True):
    """Alert whose verdicts are stored."""

    def _store(self, _verdicts: Any) -> None:
        pass


class Once:
    """Tries once."""

    def run(self, act: Callable[[], None]) -> None:
        """Do it."""
        act()


def test_no_round_of_messages_is_begun_after_some_seconds_and_hints_are_left_then() -> None:
    outbox: Any = SlowOutbox()
    given: Any = None
    retry: Any = Once()
    work = Stored(given, outbox, given, SENDER, lambda: START, lambda: outbox.seconds)
    assert work.take_in([(given, verdict(readings("b")))], retry) == set()
    assert outbox.rounds == TELL_SECONDS
