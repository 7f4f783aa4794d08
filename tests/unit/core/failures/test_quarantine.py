from datetime import timedelta

import pytest

from sluice.core.failures.quarantine import KEEP, Allowance, QuarantineExceededError, check_budget
from tests.support.samples import NOW


def test_a_few_poison_records_are_put_aside_and_a_flood_of_them_stops_the_consumer() -> None:
    check_budget(10, 10)
    check_budget(110, 1000)
    with pytest.raises(QuarantineExceededError, match="111 of 1000"):
        check_budget(111, 1000)


def test_batches_that_are_each_small_enough_to_be_excused_are_not_excused_for_ever() -> None:
    allowance, put_aside = Allowance(share=1), 0
    while allowance.allows(10, 0, NOW):
        check_budget(10, 10)
        allowance.spend(10, NOW)
        put_aside += 10
    assert put_aside == 100


def test_good_records_earn_a_tenth_of_a_bad_one_up_to_a_limit() -> None:
    allowance = Allowance(share=1)
    allowance.spend(100, NOW)
    assert not allowance.allows(1, 9, NOW)
    assert allowance.allows(1, 10, NOW)
    allowance.earn(10**6, NOW)
    assert allowance.allows(1000, 0, NOW)
    assert not allowance.allows(1001, 0, NOW)


def test_it_starts_over_when_nothing_was_put_aside_for_an_hour() -> None:
    allowance = Allowance(share=1)
    allowance.spend(150, NOW)
    assert not allowance.allows(1, 0, NOW + KEEP - timedelta(seconds=1))
    assert allowance.allows(100, 0, NOW + KEEP)
    assert not allowance.allows(101, 0, NOW + KEEP)


def test_a_share_allows_its_part_and_always_one_record_while_it_is_whole() -> None:
    quarter, small = Allowance(share=1 / 4), Allowance(share=1 / 200)
    assert quarter.allows(25, 0, NOW)
    assert not quarter.allows(26, 0, NOW)
    assert small.allows(1, 0, NOW)
    small.spend(1, NOW)
    assert not small.allows(1, 0, NOW)
