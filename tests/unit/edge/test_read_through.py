"""Values are looked up in memory, in Valkey and at their origin, and each copy is believed no longer than it may be."""

from datetime import datetime, timedelta

import msgspec
import pytest

from sluice.core.errors import Retryable
from sluice.edge import read_through
from sluice.edge.cache import Cache
from sluice.edge.read_through import Ages, CachedValue, FoundValue, ReadThrough
from tests.support.played_cache import PlayedServer
from tests.support.samples import NOW

AGES = Ages(
    memory=timedelta(seconds=30),
    shared=timedelta(seconds=240),
    most=timedelta(seconds=250),
    last_known=timedelta(hours=6),
)


class Origin:
    """Where the value comes from; it counts the questions."""

    def __init__(self) -> None:
        self.value: int | None = 1
        self.away = False
        self.asked = 0

    def ask(self) -> int | None:
        self.asked += 1
        if self.away:
            raise Retryable("away")
        return self.value


class Process:
    """One of the processes that share a cache and an origin."""

    def __init__(self, origin: Origin, server: PlayedServer) -> None:
        self._origin = origin
        self._known = ReadThrough(
            "limit",
            CachedValue[int | None],
            Cache(server.connect),
            AGES,
            most_kept=2,
            is_absence=lambda value: value is None,
        )

    def find(self, seconds: float, name: str = "a") -> FoundValue[int | None]:
        return self._known.find(name, self._origin.ask, after(seconds))


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def server() -> PlayedServer:
    return PlayedServer()


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_origin_is_asked_once_and_every_process_believes_the_copy_for_its_time(
    origin: Origin, server: PlayedServer
) -> None:
    own = Process(origin, server)
    assert [own.find(seconds) for seconds in (0, 29, 31, 239)] == [FoundValue(1, NOW)] * 4
    assert Process(origin, server).find(239) == FoundValue(1, NOW)
    assert origin.asked == 1
    origin.value = 2
    assert Process(origin, server).find(240) == FoundValue(2, after(240))


def test_without_the_cache_a_process_asks_again_when_its_memory_has_run_out(
    origin: Origin, server: PlayedServer
) -> None:
    server.away = True
    own = Process(origin, server)
    assert [own.find(seconds).read_at for seconds in (0, 29, 30)] == [NOW, NOW, after(30)]


def test_a_copy_is_believed_no_longer_than_the_most_wherever_it_went(origin: Origin, server: PlayedServer) -> None:
    Process(origin, server).find(0)
    origin.value = 2
    late = Process(origin, server)
    assert [late.find(seconds).value for seconds in (239, 249, 250)] == [1, 1, 2]


def test_while_the_origin_is_away_the_newest_copy_serves_up_to_its_last_known_age(
    origin: Origin, server: PlayedServer
) -> None:
    own, other = Process(origin, server), Process(origin, server)
    own.find(0)
    origin.value = 2
    other.find(300)
    origin.away = True
    for process in (own, other, Process(origin, server)):
        found = process.find(300 + 3600)
        assert (found.value, found.read_at, str(found.away)) == (2, after(300), "away")
    server.away = True
    assert own.find(3600).value == 1
    with pytest.raises(Retryable):
        own.find(6 * 3600)


@pytest.mark.parametrize(
    "garbled",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"value": "\xff", "read_at": "2026-11-20T09:30:00Z"}',
        b'{"value": "9", "read_at": "2026-11-20T09:30:00Z"}',
        b'{"value": 9, "read_at": "2026-11-20T09:30:00"}',
        b'{"value": 9, "read_at": "9999-11-20T09:30:00Z"}',
    ],
)
def test_a_copy_that_is_garbled_is_not_believed_even_while_the_origin_is_away(
    origin: Origin, server: PlayedServer, garbled: bytes
) -> None:
    server.held["limit:a"] = garbled
    origin.away = True
    with pytest.raises(Retryable):
        Process(origin, server).find(0)
    origin.away = False
    assert Process(origin, server).find(0).value == 1


def test_a_value_is_shared_for_as_long_as_it_may_be_the_last_known_and_an_absence_only_over_a_value(
    origin: Origin, server: PlayedServer
) -> None:
    origin.value = None
    Process(origin, server).find(0)
    assert server.held == {}
    origin.value = 1
    Process(origin, server).find(0)
    assert server.seconds == {"limit:a": 6 * 3600}
    origin.value = None
    Process(origin, server).find(300)
    assert msgspec.json.decode(server.held["limit:a"], type=CachedValue[int | None]) == CachedValue(None, after(300))


def test_memory_is_bounded_and_the_copy_that_was_taken_first_is_forgotten(origin: Origin, server: PlayedServer) -> None:
    server.away = True
    own = Process(origin, server)
    for name in ("a", "b", "c"):
        own.find(0, name)
    assert origin.asked == 3
    own.find(1, "b")
    own.find(1, "c")
    assert origin.asked == 3
    own.find(1, "a")
    assert origin.asked == 4


def test_invented_names_push_out_no_value_and_are_bounded_themselves(
    origin: Origin, server: PlayedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_through, "MOST_ABSENCES", 3)
    own = Process(origin, server)
    own.find(0)
    origin.value = None
    for number in range(5):
        own.find(0, f"invented-{number}")
    server.away = origin.away = True
    assert own.find(1) == FoundValue(1, NOW)
    # The newest three are held, and asking for them costs no question.
    asked = origin.asked
    for number in range(2, 5):
        assert own.find(1, f"invented-{number}").value is None
    assert origin.asked == asked
    with pytest.raises(Retryable):
        own.find(1, "invented-0")


def test_a_value_that_appears_or_vanishes_is_held_once(origin: Origin, server: PlayedServer) -> None:
    own = Process(origin, server)
    origin.value = None
    assert own.find(0).value is None
    origin.value = 2
    assert own.find(31).value == 2
    assert own.find(32).value == 2
    origin.value = None
    assert own.find(31 + 241).value is None
    assert own.find(31 + 242).value is None
