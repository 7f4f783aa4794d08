from datetime import timedelta

from sluice.core.query.breaker import Breaker
from tests.support.samples import NOW

REST = timedelta(seconds=30)


def broken() -> Breaker:
    breaker = Breaker(3, REST)
    for _ in range(3):
        assert breaker.lets(NOW)
        breaker.failed(NOW)
    return breaker


def test_after_so_many_failures_in_a_row_nobody_is_let_through() -> None:
    breaker = broken()
    assert not breaker.lets(NOW)
    assert not breaker.lets(NOW + REST - timedelta(microseconds=1))


def test_an_answer_in_between_starts_the_count_anew() -> None:
    breaker = Breaker(3, REST)
    for succeeds in (False, False, True, False, False):
        breaker.succeeded() if succeeds else breaker.failed(NOW)
    assert breaker.lets(NOW)


def test_after_its_rest_one_tries_for_all() -> None:
    breaker, later = broken(), NOW + REST
    assert [breaker.lets(later) for _ in range(3)] == [True, False, False]
    breaker.failed(later)
    assert not breaker.lets(later + REST - timedelta(seconds=1))
    assert breaker.lets(later + REST)
    breaker.succeeded()
    assert [breaker.lets(later + REST) for _ in range(3)] == [True, True, True]
