"""Admins' tests of destinations on a real database: one at a time, in the audit, and what notify answered."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from sluice.core.control.destinations import TEST_AGAIN, TEST_ANOTHER
from sluice.core.control.verification import verify
from sluice.core.errors import Retryable
from sluice.edge.invoked import Answer, InvokedFunction
from tests.database.administering import NOW, Admin, Owner, acts, entries
from tests.database.test_rules import PLACES, make_destination

TEST = f"{PLACES}/on-call/test"
DELIVERED = {"outcome": "delivered", "detail": "hooks.example answered 200", "status": 200, "seconds": 0.3}


class PlayedFunction(InvokedFunction):
    """The function notify, as far as admin needs it."""

    def __init__(self) -> None:
        super().__init__("notify", 20, "us-east-1")
        self.questions: list[Any] = []
        self.answer: Any = {"result": DELIVERED}

    def ask(self, question: object, kind: type[Answer]) -> Answer:
        """Answer as the real one does: what cannot be read is no answer."""
        self.questions.append(json.loads(msgspec.json.encode(question)))
        if self.answer is None:
            raise Retryable("notify does not answer")
        try:
            return msgspec.convert(self.answer, kind)
        except ValueError as error:
            raise Retryable("notify gave an answer that cannot be read") from error


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def notify() -> PlayedFunction:
    return PlayedFunction()


@pytest.fixture
def admin(database: str, notify: PlayedFunction) -> Iterator[Admin]:
    admin = Admin(database, notify=notify)
    make_destination(admin)
    yield admin
    admin.database.close()


def test_a_test_is_answered_with_what_came_of_it_and_is_in_the_audit(
    admin: Admin, notify: PlayedFunction, owner: Owner
) -> None:
    got = admin("POST", TEST)

    assert got.status == 200
    assert got.body == {"destination_id": "on-call", "tested_at": "2026-11-29T12:00:00.000000Z", **DELIVERED}
    asked = {"destination_id": "on-call", "version": 1, "stage": "test", "correlation_id": "r-1"}
    assert notify.questions == [{"test": asked}]
    assert acts(owner)[-1] == ("destination.test", "destination/on-call")
    assert verify(entries(owner), []) == 2
    assert admin("GET", f"{PLACES}/on-call").body["version"] == 1


def test_tests_are_spaced_out_for_each_destination_and_for_all(
    admin: Admin, notify: PlayedFunction, owner: Owner
) -> None:
    make_destination(admin, destination_id="other")
    assert admin("POST", TEST).status == 200
    again, another = admin("POST", TEST), admin("POST", f"{PLACES}/other/test")
    assert [(each.status, each.body["code"]) for each in (again, another)] == [(429, "test_too_soon")] * 2
    assert again.body["detail"].endswith("try again in 60 s.")
    admin.now = NOW + TEST_ANOTHER
    assert admin("POST", f"{PLACES}/other/test").status == 200
    admin.now = NOW + TEST_AGAIN - timedelta(milliseconds=1)
    assert admin("POST", TEST).body["detail"].endswith("try again in 1 s.")
    admin.now = NOW + TEST_AGAIN
    assert admin("POST", TEST).status == 200
    assert len(notify.questions) == 3
    assert [action for action, _ in acts(owner)].count("destination.test") == 3


@pytest.mark.parametrize("answer", [None, {"batchItemFailures": []}])
def test_a_notify_that_gives_no_answer_of_this_release_is_told_and_not_asked_again(
    admin: Admin, notify: PlayedFunction, answer: Any
) -> None:
    notify.answer = answer
    got = admin("POST", TEST)

    assert (got.status, got.body["outcome"], got.body["status"]) == (200, "failed", None)
    assert "whether the message was sent is not known" in got.body["detail"]


def test_what_is_no_test_is_refused_before_anything_is_sent(admin: Admin, notify: PlayedFunction, owner: Owner) -> None:
    assert admin("POST", f"{PLACES}/none/test").body["code"] == "unknown_destination"
    assert admin("POST", TEST, {"text": "hello"}).body["code"] == "invalid_body"
    assert admin("POST", f"{TEST}?dry_run=true").status == 400
    admin("POST", f"{PLACES}/on-call/archive", {"reason": "moved"}, if_match='"1"')
    archived = admin("POST", TEST)
    assert (archived.status, archived.body["code"]) == (409, "destination_archived")
    assert notify.questions == []
    assert acts(owner)[-1][0] == "destination.archive"
