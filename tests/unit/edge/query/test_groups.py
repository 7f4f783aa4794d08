from datetime import datetime, timedelta

import pytest

from sluice.core.breaker import Breaker
from sluice.core.errors import Refusal, Retryable
from sluice.core.query.groups import Group, GroupAnswer, GroupName, GroupNames, GroupQuestion
from sluice.edge.cache import Cache
from sluice.edge.query.groups import LAST_KNOWN, Groups
from tests.support.played_cache import PlayedServer
from tests.support.samples import NOW

BELIEVED, REST = timedelta(seconds=60), timedelta(seconds=30)
HALL = Group("hall", "Hall", ("press-1",))


class Directory:
    """A directory behind its function, which fails as configured."""

    def __init__(self) -> None:
        self.told = GroupAnswer(group=HALL)
        self.fails: str | None = None
        self.asked: list[GroupQuestion] = []
        self.time = 0.0

    def __call__(self, wanted: GroupQuestion) -> GroupAnswer:
        self.asked.append(wanted)
        if self.fails == "function":
            raise Retryable("the function cannot be invoked")
        return GroupAnswer(problem="unavailable", detail="no answer") if self.fails else self.told


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def server() -> PlayedServer:
    return PlayedServer()


def groups(directory: Directory, server: PlayedServer) -> Groups:
    cache = Cache(server.connect, clock=lambda: float(len(directory.asked) * 60))
    breaker = Breaker("the directory", REST.total_seconds(), lambda: directory.time, failures=3)
    return Groups(directory, cache, breaker, BELIEVED)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def find(asked: Groups, now: datetime) -> Group:
    return asked.group("demo", "hall", "c-1", now)[0]


def test_the_directory_is_asked_once_and_believed_for_a_while(directory: Directory, server: PlayedServer) -> None:
    asked = groups(directory, server)
    assert [find(asked, after(seconds)) for seconds in (0, 30, 59)] == [HALL] * 3
    assert directory.asked == [GroupQuestion("demo", "hall", "c-1")]
    directory.told = GroupAnswer(group=Group("hall", "Hall", ()))
    assert find(asked, after(60)).devices == ()


def test_another_process_believes_what_the_first_was_told_no_longer_than_that(
    directory: Directory, server: PlayedServer
) -> None:
    find(groups(directory, server), NOW)
    other = groups(directory, server)
    assert other.group("demo", "hall", "c-2", after(59)) == (HALL, NOW)
    assert len(directory.asked) == 1
    find(other, after(60))
    assert len(directory.asked) == 2


@pytest.mark.parametrize("fails", ["directory", "function"])
def test_while_the_directory_is_away_groups_are_shown_as_they_were_and_since_when(
    directory: Directory, server: PlayedServer, fails: str
) -> None:
    asked = groups(directory, server)
    find(asked, NOW)
    directory.fails = fails
    assert asked.group("demo", "hall", "c", after(3600)) == (HALL, NOW)
    assert groups(directory, server).group("demo", "hall", "c", after(3600)) == (HALL, NOW)
    with pytest.raises(Refusal) as refusal:
        find(asked, NOW + LAST_KNOWN)
    assert (refusal.value.status, refusal.value.code) == (503, "directory_unavailable")


def test_after_some_failures_the_directory_is_left_alone_and_then_tried_by_one(
    directory: Directory, server: PlayedServer
) -> None:
    asked, directory.fails = groups(directory, server), "directory"
    for _ in range(10):
        with pytest.raises(Refusal):
            find(asked, NOW)
    assert len(directory.asked) == 3
    directory.time += REST.total_seconds()
    with pytest.raises(Refusal):
        find(asked, NOW + REST)
    assert len(directory.asked) == 4
    directory.time += REST.total_seconds()
    directory.fails = None
    assert find(asked, NOW + 2 * REST) == HALL
    assert asked.group("demo", "hall", "c", NOW + 3 * REST) == (HALL, NOW + 2 * REST)


def test_an_unknown_group_is_asked_for_once_in_a_while_and_never_shared(
    directory: Directory, server: PlayedServer
) -> None:
    asked, directory.told = groups(directory, server), GroupAnswer(problem="unknown")
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            find(asked, NOW)
        assert (refusal.value.status, refusal.value.code) == (404, "group_unknown")
    assert len(directory.asked) == 1
    assert server.held == {}


def test_a_group_that_is_gone_is_not_shown_as_it_was(directory: Directory, server: PlayedServer) -> None:
    asked = groups(directory, server)
    find(asked, NOW)
    directory.told = GroupAnswer(problem="unknown")
    with pytest.raises(Refusal):
        find(asked, after(61))
    directory.fails = "directory"
    for process in (asked, groups(directory, server)):
        with pytest.raises(Refusal) as refusal:
            find(process, after(200))
        assert refusal.value.code == "group_unknown"


def test_without_a_directory_there_are_no_groups(directory: Directory, server: PlayedServer) -> None:
    directory.told = GroupAnswer(problem="no_directory")
    with pytest.raises(Refusal) as refusal:
        groups(directory, server).names("demo", "c", NOW)
    assert (refusal.value.status, refusal.value.code) == (404, "no_directory")


def test_the_list_of_groups_is_not_taken_for_a_group(directory: Directory, server: PlayedServer) -> None:
    asked = groups(directory, server)
    find(asked, NOW)
    directory.told = GroupAnswer(groups=GroupNames((GroupName("hall", "Hall"),)))
    assert asked.names("demo", "c", NOW) == (GroupNames((GroupName("hall", "Hall"),)), NOW)
    assert set(server.held) == {"group:demo", "group:demo:hall"}
    assert [one.group_id for one in directory.asked] == ["hall", None]
