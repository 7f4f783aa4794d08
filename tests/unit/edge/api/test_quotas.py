from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from sluice.core.api.quotas import BURST_SECONDS, Quota
from sluice.edge.api.quotas import LEASE, Quotas
from sluice.edge.cache import Cache, CacheAwayError
from tests.support.samples import NOW

QUOTA = Quota(events=100, rejects=10)


class Shared:
    """A cache that is away, or answers as the test says."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[float]] = []

    def run(self, _script: object, _names: Sequence[str], arguments: Sequence[float]) -> Any:
        self.asked.append(arguments)
        if not self.answers:
            raise CacheAwayError("away")
        return self.answers.pop(0)


def quotas(shared: Shared, processes: int) -> Quotas:
    return Quotas(cast("Cache", shared), processes)


def test_a_process_takes_as_much_more_as_it_spent_the_last_time_and_spends_that_first() -> None:
    shared = Shared(10, 20, 60)
    fleet = quotas(shared, processes=4)
    assert fleet.exceeded("demo", QUOTA, 10, NOW) is None
    assert fleet.exceeded("demo", QUOTA, 10, NOW) is None
    assert [asked[-2:] for asked in shared.asked] == [(10, 10), (10, 20)]
    assert [fleet.exceeded("demo", QUOTA, 2, NOW) for _ in range(5)] == [None] * 5
    assert len(shared.asked) == 2
    assert fleet.exceeded("demo", QUOTA, 35, NOW) is None
    # Never more than its share of a second.
    assert fleet.exceeded("demo", QUOTA, 25, NOW) is None
    assert shared.asked[2][-2:] == (35, 55)


def test_a_process_that_is_seldom_asked_hoards_nothing() -> None:
    shared = Shared(1, 1, 1)
    fleet = quotas(shared, processes=20)
    for seconds in (0, 10, 20):
        assert fleet.exceeded("demo", QUOTA, 1, NOW + timedelta(seconds=seconds)) is None
    assert [asked[-2:] for asked in shared.asked] == [(1, 1)] * 3


def test_what_was_not_spent_within_its_time_is_lost() -> None:
    shared = Shared(100, 100)
    fleet = quotas(shared, processes=1)
    fleet.exceeded("demo", QUOTA, 1, NOW)
    fleet.exceeded("demo", QUOTA, 1, NOW + LEASE)
    assert len(shared.asked) == 2


def test_the_quota_that_does_not_allow_it_is_named() -> None:
    fleet = quotas(Shared(-1, -2), processes=1)
    assert fleet.exceeded("demo", QUOTA, 1, NOW) == "events"
    assert fleet.exceeded("demo", QUOTA, 1, NOW) == "rejects"


def test_a_debt_is_seen_at_the_next_request_after_any_earlier_ones() -> None:
    shared = Shared(100, 1, -2)
    fleet = quotas(shared, processes=1)
    assert fleet.exceeded("demo", QUOTA, 1, NOW) is None
    fleet.charge_rejects("demo", QUOTA, 1000, NOW)
    assert fleet.exceeded("demo", QUOTA, 1, NOW) == "rejects"


def test_without_the_cache_each_process_grants_its_share_and_no_more() -> None:
    alone = quotas(Shared(), processes=4)
    share = 100 * BURST_SECONDS // 4
    assert alone.exceeded("demo", QUOTA, share, NOW) is None
    assert alone.exceeded("demo", QUOTA, 1, NOW) == "events"
    assert alone.exceeded("demo", QUOTA, 25, NOW + timedelta(seconds=1)) is None


def test_one_fleets_bucket_is_not_anothers() -> None:
    alone = quotas(Shared(), processes=1)
    assert alone.exceeded("loud", QUOTA, 100 * BURST_SECONDS, NOW) is None
    assert alone.exceeded("loud", QUOTA, 1, NOW) == "events"
    assert alone.exceeded("quiet", QUOTA, 1, NOW) is None


def test_without_the_cache_rejects_are_charged_into_debt() -> None:
    alone = quotas(Shared(), processes=1)
    alone.charge_rejects("demo", QUOTA, 10 * BURST_SECONDS + 1, NOW)
    assert alone.exceeded("demo", QUOTA, 1, NOW) == "rejects"
    assert alone.exceeded("demo", QUOTA, 1, NOW + timedelta(seconds=1)) is None
