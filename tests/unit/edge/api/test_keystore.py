from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from sluice.core.api.keys import PublishedKey
from sluice.core.errors import Retryable
from sluice.edge.api.keystore import Keys, KeyStore, by_id
from sluice.edge.published import Believed
from tests.support.samples import NOW

if TYPE_CHECKING:
    from datetime import datetime

    from sluice.edge.published import Published

KEY = PublishedKey("k1", "demo", "device", "0" * 64, 100.0, 10.0)


class Played:
    """What is published, before and after a look for what is missing."""

    def __init__(self) -> None:
        self.content = by_id([KEY])
        self.newer = self.content
        self.away: Retryable | None = None
        self.missed = 0

    def find(self, _now: "datetime") -> Believed[Keys]:
        return Believed(self.content, self.away)

    def find_missing(self, _now: "datetime") -> Believed[Keys]:
        self.missed += 1
        return Believed(self.newer, self.away)


@pytest.fixture
def published() -> Played:
    return Played()


@pytest.fixture
def keys(published: Played) -> KeyStore:
    return KeyStore(cast("Published[PublishedKey, Keys]", published))


def test_a_known_key_costs_no_look(published: Played, keys: KeyStore) -> None:
    assert keys.find("k1", NOW) == KEY
    assert published.missed == 0


def test_a_key_that_was_created_a_moment_ago_is_found(published: Played, keys: KeyStore) -> None:
    assert keys.find("k2", NOW) is None
    new = msgspec.structs.replace(KEY, key_id="k2")
    published.newer = by_id([KEY, new])
    assert keys.find("k2", NOW) == new


def test_with_no_source_a_known_key_works_and_an_unknown_one_may_have_been_created_since(
    published: Played, keys: KeyStore
) -> None:
    published.away = Retryable("S3 does not answer")
    assert keys.find("k1", NOW) == KEY
    with pytest.raises(Retryable):
        keys.find("k2", NOW)
