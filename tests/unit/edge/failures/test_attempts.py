import pytest

from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from sluice.core.failures.attempts import KEEP, by_partition
from sluice.core.records import Origin
from sluice.edge.cache import Cache
from sluice.edge.failures.attempts import Attempts
from tests.support.attempts import AttemptsContract, PlayedCache, records


class TestPlayed(AttemptsContract):
    @pytest.fixture
    def cache(self) -> Cache:
        return PlayedCache().as_cache()


def test_a_batch_costs_one_round_trip_when_it_begins_and_one_when_it_ends() -> None:
    played = PlayedCache()
    attempts = Attempts(played.as_cache(), "archive")
    begun = attempts.begin(by_partition([*records(*range(1000)), *records(*range(1000), partition=7)]))
    attempts.end(dict.fromkeys(begun))
    assert played.trips == 2
    assert attempts.begin({}) == {}
    attempts.end({})
    assert played.trips == 2


def test_while_the_cache_is_away_nothing_is_counted() -> None:
    played = PlayedCache()
    played.away = True
    attempts = Attempts(played.as_cache(), "archive")
    assert attempts.begin(by_partition(records(1))) == {}
    attempts.mark(Origin("raw-events", 4, 1))
    attempts.end({("raw-events", 4): None})
    assert not played.hashes


def test_attempts_are_remembered_for_as_long_as_a_record_is_tried() -> None:
    assert KEEP.total_seconds() == CONSUMER_RECORD_AGE_SECONDS
