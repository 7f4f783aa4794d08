from typing import TYPE_CHECKING, cast

import psycopg
import pytest

from sluice.core.errors import Refusal, Retryable
from sluice.edge.database import DatabaseAwayError, TooSlowError
from sluice.edge.query.fleets import ALIVE_SECONDS, check_alive
from sluice.edge.query.reading import LEAVE_ALONE_SECONDS, Reader

if TYPE_CHECKING:
    from sluice.edge.database import Database


class Store:
    """A database that answers, fails or is slow as configured. Each query moves its clock."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.takes = 0.0
        self.now = 0.0
        self.asked = 0

    def ask(self, _sql: str, *_parameters: str) -> bytes | None:
        self.asked += 1
        self.now += self.takes
        if self.fails is not None:
            raise self.fails
        return b"[1, 2]"


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def reader(store: Store) -> Reader:
    return Reader(cast("Database", store), 4, lambda: store.now)


def read(reader: Reader) -> list[int]:
    return reader.read(list[int], "SELECT")


def test_a_document_is_read_into_its_type(reader: Reader) -> None:
    assert read(reader) == [1, 2]


def test_a_database_that_just_failed_is_left_alone_for_a_moment(store: Store, reader: Reader) -> None:
    store.fails = DatabaseAwayError("refused")
    for _ in range(5):
        with pytest.raises(Retryable):
            read(reader)
    assert store.asked == 1
    store.fails, store.now = None, store.now + LEAVE_ALONE_SECONDS
    assert read(reader) == [1, 2]


def test_a_question_that_takes_too_long_says_nothing_about_the_database(store: Store, reader: Reader) -> None:
    store.fails = TooSlowError("statement timeout")
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            read(reader)
        assert (refusal.value.status, refusal.value.code) == (503, "too_slow")
    assert store.asked == 2


def test_an_answer_made_of_many_slow_questions_is_given_up_too(store: Store, reader: Reader) -> None:
    store.takes = 1.5
    for _ in range(2):
        reader.begin()
        for _ in range(3):
            read(reader)
        with pytest.raises(Refusal) as refusal:
            read(reader)
        assert refusal.value.code == "too_slow"


def test_a_mistake_in_a_question_is_a_defect_and_not_hidden(store: Store, reader: Reader) -> None:
    store.fails = psycopg.errors.UndefinedTable("no such table")
    with pytest.raises(psycopg.errors.UndefinedTable):
        read(reader)


def test_anyone_may_ask_for_health_and_the_database_is_asked_once_a_second(
    store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = store.ask
    monkeypatch.setattr(store, "ask", lambda *given: answered(*given) and b"true")
    for _ in range(100):
        check_alive(reader)
    assert store.asked == 1
    store.now += ALIVE_SECONDS + 0.1
    check_alive(reader)
    assert store.asked == 2
    # What failed a moment ago is not called well.
    store.fails, store.now = DatabaseAwayError("refused"), store.now + ALIVE_SECONDS + 0.1
    for _ in range(3):
        with pytest.raises(Retryable):
            check_alive(reader)
    assert store.asked == 3
