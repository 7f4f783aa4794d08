from datetime import timedelta

from sluice.core.api.quotas import BURST_SECONDS, TokenBucket
from tests.support.samples import NOW


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(10, NOW)
    assert bucket.take(10 * BURST_SECONDS, NOW)
    assert not bucket.take(1, NOW)
    assert bucket.take(10, NOW + timedelta(seconds=1))
    assert not bucket.take(1, NOW + timedelta(seconds=1))


def test_a_quiet_fleet_saves_no_more_than_one_burst() -> None:
    bucket = TokenBucket(10, NOW)
    assert bucket.take(10 * BURST_SECONDS, NOW + timedelta(days=1))
    assert not bucket.take(1, NOW + timedelta(days=1))


def test_a_batch_larger_than_the_bucket_is_given_on_credit_when_it_is_full() -> None:
    bucket = TokenBucket(1, NOW)
    assert bucket.take(5 * BURST_SECONDS, NOW)
    assert not bucket.take(1, NOW + timedelta(seconds=4 * BURST_SECONDS))
    assert bucket.take(1, NOW + timedelta(seconds=4 * BURST_SECONDS + 1))


def test_what_has_happened_is_charged_into_debt_and_stops_what_comes_next() -> None:
    bucket = TokenBucket(10, NOW)
    bucket.charge(10 * BURST_SECONDS + 20, NOW)
    assert not bucket.take(0, NOW + timedelta(seconds=1))
    assert bucket.take(0, NOW + timedelta(seconds=2))


def test_a_clock_that_steps_back_fills_nothing() -> None:
    bucket = TokenBucket(10, NOW)
    bucket.take(10 * BURST_SECONDS, NOW)
    assert not bucket.take(1, NOW - timedelta(hours=1))
    assert not bucket.take(1, NOW)
