"""What a process believes of published control data, while its sources change, forget, lie or do not answer."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from sluice.core.errors import Retryable
from sluice.core.published import write_document
from sluice.edge.cache import Cache
from sluice.edge.published import LAST_KNOWN, LEAVE_ALONE, MOST_LOOKS, Published, SharedCopy, name_in_bucket
from tests.support.played_bucket import PlayedBucket
from tests.support.played_cache import PlayedServer
from tests.support.samples import NOW

if TYPE_CHECKING:
    from sluice.edge.bucket import Bucket

MEMORY, SHARED = timedelta(seconds=30), timedelta(seconds=240)
SECOND = timedelta(seconds=1)
DEEP = b'{"kind":"words","version":9,"items":[],"more":' + b"[" * 100_000


class Sources:
    """Valkey and S3, with documents about words."""

    def __init__(self) -> None:
        self.server, self.bucket = PlayedServer(), PlayedBucket()
        self.time = 0.0
        self.moment = 0.0

    def publish(self, version: int, *words: str, to: str = "both", may_be_empty: bool = False) -> None:
        document = write_document("words", version, words, may_be_empty=may_be_empty)
        if to in ("both", "S3"):
            self.bucket.put(name_in_bucket("words"), document)
        if to in ("both", "Valkey"):
            self.server.fields["published:words"] = {"version": b"%d" % version, "document": document}

    def process(self) -> Published[str, list[str]]:
        # A broken connection to the cache is left alone for a moment of its own clock.
        shared = SharedCopy("words", Cache(self.server.connect, clock=self._tick))
        return Published(
            "words", str, list, shared, lambda: cast("Bucket", self.bucket), MEMORY, SHARED, lambda: self.moment
        )

    def process_without_valkey(self) -> Published[str, list[str]]:
        return Published("words", str, list, None, lambda: cast("Bucket", self.bucket), MEMORY, SHARED)

    def _tick(self) -> float:
        self.time += 60
        return self.time


@pytest.fixture
def sources() -> Sources:
    return Sources()


def after(period: timedelta) -> datetime:
    return NOW + period


def test_a_change_is_seen_when_the_memory_has_run_out(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    assert process.find(NOW).content == ["a"]
    sources.publish(2, "b")
    assert process.find(after(MEMORY - SECOND)).content == ["a"]
    assert process.find(after(MEMORY)).content == ["b"]


def test_a_change_that_valkey_lost_is_seen_in_s3_no_later_than_both_periods(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    process.find(NOW)
    sources.publish(2, "b", to="S3")
    # Valkey still confirms version 1.
    seen = [process.find(after(seconds * SECOND)).content for seconds in range(0, 271, 10)]
    assert seen[:24] == [["a"]] * 24
    assert seen[-1] == ["b"]


@pytest.mark.shows_fault(part="config", fault="empty, corrupt, older than the code")
@pytest.mark.parametrize("source", ["Valkey", "S3", "both"])
def test_an_older_an_empty_or_an_unreadable_copy_replaces_nothing(sources: Sources, source: str) -> None:
    sources.publish(5, "a")
    process = sources.process()
    process.find(NOW)
    now = NOW
    for version, words in ((4, ["older"]), (6, [])):
        now += SHARED
        sources.publish(version, *words, to=source)
        assert process.find(now).content == ["a"]
    for damaged in (b"", b"{}", b"[", DEEP, b"\xff\xfe", b'{"kind": "other", "version": 9, "items": ["x"]}'):
        now += SHARED
        if source in ("Valkey", "both"):
            sources.server.fields["published:words"] = {"version": b"9", "document": damaged}
        if source in ("S3", "both"):
            sources.bucket.put(name_in_bucket("words"), damaged)
        assert process.find(now).content == ["a"]
    sources.publish(10, "b")
    assert process.find(now + SHARED).content == ["b"]


@pytest.mark.parametrize("source", ["Valkey", "S3", "both"])
def test_an_empty_document_that_may_be_empty_replaces_another(sources: Sources, source: str) -> None:
    sources.publish(5, "a", may_be_empty=True)
    process = sources.process()
    process.find(NOW)
    sources.publish(6, to=source, may_be_empty=True)
    believed = process.find(after(SHARED))
    assert (believed.content, believed.away) == ([], None)
    # An older one is no newer state.
    sources.publish(5, "a", to="both", may_be_empty=True)
    assert process.find(after(2 * SHARED)).content == []


def test_a_process_without_valkey_asks_s3_alone(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process_without_valkey()
    assert process.find(NOW).content == ["a"]
    sources.publish(2, "b")
    assert process.find(after(MEMORY - SECOND)).content == ["a"]
    assert process.find(after(MEMORY)).content == ["b"]
    asked = sources.bucket.asked
    assert process.find(after(MEMORY + SECOND)).content == ["b"]
    assert sources.bucket.asked == asked
    sources.bucket.away = True
    believed = process.find(after(2 * MEMORY))
    assert (believed.content, believed.away is None) == (["b"], False)
    with pytest.raises(Retryable):
        process.find(after(2 * MEMORY + LAST_KNOWN))


@pytest.mark.parametrize("away", ["Valkey", "S3"])
def test_one_source_is_enough(sources: Sources, away: str) -> None:
    sources.publish(1, "a")
    sources.server.away, sources.bucket.away = away == "Valkey", away == "S3"
    process = sources.process()
    assert process.find(NOW).content == ["a"]
    sources.publish(2, "b")
    assert process.find(after(SHARED)).content == ["b"]


def test_a_silent_s3_is_seldom_waited_for_while_valkey_answers(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    process.find(NOW)
    sources.bucket.away = True
    asked = sources.bucket.asked
    for seconds in range(600):
        sources.moment = float(seconds)
        process.find(after(seconds * SECOND))
        process.find_missing(after(seconds * SECOND))
    assert sources.bucket.asked - asked <= 1 + (600 - 240) // 60


def test_a_forgetful_valkey_is_no_source(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    process.find(NOW)
    sources.server.fields.clear()
    sources.publish(2, "b", to="S3")
    assert process.find(after(MEMORY)).content == ["b"]


def test_with_no_source_the_last_copy_is_used_for_hours_and_no_longer(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    process.find(NOW)
    sources.server.away = sources.bucket.away = True
    late = process.find(after(LAST_KNOWN - SECOND))
    assert (late.content, late.away is not None) == (["a"], True)
    with pytest.raises(Retryable):
        process.find(after(LAST_KNOWN))
    with pytest.raises(Retryable):
        sources.process().find(NOW)
    sources.server.away = sources.bucket.away = False
    assert process.find(after(LAST_KNOWN + LEAVE_ALONE)).away is None


def test_sources_that_do_not_answer_are_left_alone_for_a_moment(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    process.find(NOW)
    sources.server.away = sources.bucket.away = True
    process.find(after(MEMORY))
    asked = sources.bucket.asked
    for milliseconds in range(0, 4900, 100):
        process.find(after(MEMORY + timedelta(milliseconds=milliseconds)))
        process.find_missing(after(MEMORY + timedelta(milliseconds=milliseconds)))
    assert sources.bucket.asked == asked


def test_what_is_missing_is_looked_for_at_once_and_seldom_if_it_is_missed_often(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    process.find(NOW)
    before = sources.server.asked
    for _ in range(5000):
        assert process.find_missing(NOW).content == ["a"]
    assert sources.server.asked - before == MOST_LOOKS
    sources.publish(2, "a", "b")
    sources.moment += 0.5
    unlooked = process.find_missing(NOW)
    assert (unlooked.content, unlooked.just_confirmed) == (["a"], False)
    sources.moment += 0.5
    looked = process.find_missing(NOW)
    assert (looked.content, looked.just_confirmed) == (["a", "b"], True)
    # Each look asks for the version, and the one that finds a newer one for the document too.
    assert sources.server.asked - before == MOST_LOOKS + 2


def test_a_clock_that_was_set_back_does_not_stop_the_looking(sources: Sources) -> None:
    sources.publish(1, "a")
    process = sources.process()
    process.find(NOW)
    sources.publish(2, "b")
    assert process.find(NOW - timedelta(hours=1)).content == ["b"]


def test_a_process_that_was_started_before_anything_was_published_looks_at_its_first_request(sources: Sources) -> None:
    process = sources.process()
    with pytest.raises(Retryable):
        process.load(NOW)
    sources.publish(1, "a")
    assert process.find(NOW).content == ["a"]
