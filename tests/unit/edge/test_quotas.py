from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from sluice.core.quotas import BURST_SECONDS, Quota
from sluice.edge.cache import Cache, CacheAwayError
from sluice.edge.quotas import Quotas
from tests.samples import NOW

QUOTA = Quota(events=100, rejects=10)


class AwayCache:
    """A cache that does not answer."""

    def run(self, _script: object, _key: str, _arguments: Sequence[float]) -> Any:
        raise CacheAwayError("away")


def quotas(processes: int) -> Quotas:
    return Quotas(cast("Cache", AwayCache()), processes)


def test_without_the_cache_each_process_grants_its_share_and_no_more() -> None:
    alone = quotas(processes=4)
    share = 100 * BURST_SECONDS // 4
    assert alone.take("demo", "events", QUOTA, share, NOW)
    assert not alone.take("demo", "events", QUOTA, 1, NOW)
    assert alone.take("demo", "events", QUOTA, 25, NOW + timedelta(seconds=1))


def test_one_fleets_bucket_is_not_anothers() -> None:
    alone = quotas(processes=1)
    assert alone.take("loud", "events", QUOTA, 100 * BURST_SECONDS, NOW)
    assert not alone.take("loud", "events", QUOTA, 1, NOW)
    assert alone.take("quiet", "events", QUOTA, 1, NOW)


def test_rejects_are_charged_into_debt() -> None:
    alone = quotas(processes=1)
    alone.charge("demo", "rejects", QUOTA, 10 * BURST_SECONDS + 1, NOW)
    assert not alone.take("demo", "rejects", QUOTA, 0, NOW)
    assert alone.take("demo", "events", QUOTA, 1, NOW)
