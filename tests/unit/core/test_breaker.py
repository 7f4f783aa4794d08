import pytest

from sluice.core.breaker import Breaker
from sluice.core.errors import Retryable

REST = 30.0


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("the service", REST, clock, failures=3)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.lets()
        breaker.note(answered=False)


def test_after_so_many_failures_in_a_row_the_service_rests(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    assert not breaker.lets()
    clock.now += REST - 0.001
    assert not breaker.lets()


def test_an_answer_starts_the_count_again(breaker: Breaker) -> None:
    for answered in (False, False, True, False, False):
        breaker.note(answered=answered)
    assert breaker.lets()


def test_after_its_rest_one_tries_for_all(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += REST
    assert [breaker.lets() for _ in range(3)] == [True, False, False]
    breaker.note(answered=False)
    clock.now += REST - 1
    assert not breaker.lets()
    clock.now += 1
    assert breaker.lets()
    breaker.note(answered=True)
    assert [breaker.lets() for _ in range(3)] == [True, True, True]


def test_it_is_closed_again_once_the_one_who_tried_had_an_answer(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 2)
    assert breaker.closed
    fail(breaker, 1)
    clock.now += REST
    assert breaker.lets()
    assert not breaker.closed
    breaker.note(answered=True)
    assert breaker.closed


def test_only_a_service_that_does_not_do_its_part_counts_as_a_failure(clock: Clock) -> None:
    class AwayError(Retryable):
        pass

    breaker = Breaker("the service", REST, clock, error=AwayError)
    with pytest.raises(ZeroDivisionError), breaker.asking():
        raise ZeroDivisionError
    assert breaker.lets()
    with pytest.raises(Retryable, match="away"), breaker.asking():
        raise Retryable("away")
    with pytest.raises(AwayError, match="the service did not answer a moment ago"), breaker.asking():
        raise AssertionError("a service that rests is not asked")
    clock.now += REST
    with breaker.asking():
        pass
    assert breaker.closed
