import pytest

from sluice.core.errors import Retryable
from sluice.edge.retry import FIRST_PAUSE, LONGEST_PAUSE, Retry, pause_before


class Service:
    """A service that is away for some seconds of a clock that only sleeping moves."""

    def __init__(self, away_seconds: float) -> None:
        self.back_at = away_seconds
        self.now = 0.0
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        if self.now < self.back_at:
            raise Retryable("away")
        return "here"

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def retry(self, seconds: float) -> Retry:
        return Retry(seconds, clock=lambda: self.now, sleep=self.sleep)


def test_what_works_is_done_once_and_without_waiting() -> None:
    service = Service(0)
    assert service.retry(0).run(service.ask) == "here"
    assert (service.asked, service.now) == (1, 0)


def test_what_comes_back_in_time_is_waited_for() -> None:
    service = Service(10)
    assert service.retry(30).run(service.ask) == "here"
    assert 10 <= service.now <= 10 + 1.5 * LONGEST_PAUSE


def test_what_stays_away_is_waited_for_so_long_and_no_longer() -> None:
    service = Service(100)
    with pytest.raises(Retryable):
        service.retry(30).run(service.ask)
    assert 30 - 1.5 * LONGEST_PAUSE <= service.now <= 30


def test_pauses_grow_to_a_longest_and_are_not_in_step() -> None:
    assert FIRST_PAUSE * 0.5 <= pause_before(0) < FIRST_PAUSE * 1.5
    assert LONGEST_PAUSE * 0.5 <= pause_before(100_000) < LONGEST_PAUSE * 1.5
    assert len({pause_before(5) for _ in range(20)}) > 1
