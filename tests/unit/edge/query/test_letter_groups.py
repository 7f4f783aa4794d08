"""redrive is asked seldom, its answers are kept, and what was known is shown while it does not answer."""

import contextlib
import io
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from sluice.core.errors import Refusal, Retryable
from sluice.core.query.letter_groups import LetterDays, LetterGroups
from sluice.edge.api.quotas import Quotas
from sluice.edge.cache import Cache
from sluice.edge.invoked import InvokedFunction
from sluice.edge.query.letter_groups import EVERY_SECONDS, FLEET_EVERY_SECONDS, LAST_KNOWN, FleetLetters
from tests.support.played_cache import PlayedServer
from tests.support.samples import NOW

BELIEVED = timedelta(minutes=5)
DAYS = LetterDays("demo", date(2026, 11, 19), date(2026, 11, 20))
NONE = LetterGroups((), 0, 0, complete=True)


class Redrive(InvokedFunction):
    """The function redrive, which fails as configured."""

    def __init__(self) -> None:
        super().__init__("redrive", 1, "us-east-1")
        self.told = NONE
        self.answers: Callable[[], bytes] = lambda: msgspec.json.encode({"result": self.told})
        self.asked: list[Any] = []
        self._client = self

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - as Lambda's client has them
        assert FunctionName == "redrive"
        self.asked.append(json.loads(Payload))
        return {"Payload": io.BytesIO(self.answers())}


class NoQuotas(PlayedServer):
    """A cache that keeps copies and runs no scripts: each process counts for itself."""

    def evalsha(self, *_: object) -> None:
        raise OSError("no scripts")


def away() -> bytes:
    raise Retryable("the function is throttled")


def refused() -> bytes:
    return b'{"refused": {"status": 400, "code": "invalid_body", "detail": "An older release knows no such step."}}'


@pytest.fixture
def redrive() -> Redrive:
    return Redrive()


@pytest.fixture
def server() -> NoQuotas:
    return NoQuotas()


def letters(redrive: Redrive, server: NoQuotas) -> FleetLetters:
    # Each failure is over before the next question.
    ticks = iter(range(0, 10**6, 60))
    kept = Cache(server.connect, clock=lambda: float(next(ticks)))
    counted = Cache(server.connect, clock=lambda: float(next(ticks)))
    return FleetLetters(redrive, Quotas(counted, 1), kept, BELIEVED)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def of(fleet_id: str) -> LetterDays:
    return msgspec.structs.replace(DAYS, fleet_id=fleet_id)


def test_redrive_is_asked_once_for_the_fleet_and_believed_for_minutes(redrive: Redrive, server: NoQuotas) -> None:
    asked = letters(redrive, server)
    assert [asked.groups(DAYS, after(seconds)) for seconds in (0, 100, 299)] == [(NONE, NOW)] * 3
    (question,) = redrive.asked
    assert (question["step"], question["asked"]["fleet_id"]) == ("fleet_groups", "demo")
    redrive.told = LetterGroups((), 0, 7, complete=False)
    assert asked.groups(DAYS, after(300)) == (redrive.told, after(300))


def test_another_process_takes_the_answer_from_the_cache_and_another_fleet_never(
    redrive: Redrive, server: NoQuotas
) -> None:
    letters(redrive, server).groups(DAYS, NOW)
    other = letters(redrive, server)
    assert other.groups(DAYS, after(60)) == (NONE, NOW)
    assert len(redrive.asked) == 1
    other.groups(of("other"), after(60))
    assert [one["asked"]["fleet_id"] for one in redrive.asked] == ["demo", "other"]


def test_all_readers_together_ask_it_once_in_some_seconds(redrive: Redrive, server: NoQuotas) -> None:
    asked = letters(redrive, server)
    asked.groups(DAYS, NOW)
    for number in range(50):
        with pytest.raises(Refusal) as refusal:
            asked.groups(of(f"other-{number}"), after(1))
        assert (refusal.value.status, refusal.value.code) == (429, "quota_letters")
    assert len(redrive.asked) == 1
    asked.groups(of("other-1"), after(EVERY_SECONDS + 1))
    assert len(redrive.asked) == 2


def test_a_reader_who_varies_the_days_leaves_the_others_their_turns(redrive: Redrive, server: NoQuotas) -> None:
    asked = letters(redrive, server)
    others = 0
    for second in range(2 * FLEET_EVERY_SECONDS):
        days = LetterDays("demo", DAYS.first - timedelta(days=second), DAYS.last)
        with contextlib.suppress(Refusal):
            asked.groups(days, after(second))
        if second % 10 == 5:
            with contextlib.suppress(Refusal):
                asked.groups(of(f"other-{second}"), after(second))
                others += 1
    assert [one["asked"]["fleet_id"] for one in redrive.asked].count("demo") == 2
    assert others == 4


def test_a_fleet_whose_turn_it_is_not_sees_what_was_known(redrive: Redrive, server: NoQuotas) -> None:
    asked = letters(redrive, server)
    asked.groups(DAYS, NOW)
    asked.groups(of("other"), after(300))
    assert asked.groups(DAYS, after(301)) == (NONE, NOW)


@pytest.mark.parametrize("answers", [away, refused, lambda: b"{}", lambda: b"no JSON"])
def test_while_it_does_not_answer_the_last_groups_are_shown_for_hours(
    redrive: Redrive, server: NoQuotas, answers: Callable[[], bytes]
) -> None:
    asked = letters(redrive, server)
    asked.groups(DAYS, NOW)
    redrive.answers = answers
    assert asked.groups(DAYS, after(3600)) == (NONE, NOW)
    with pytest.raises(Refusal) as refusal:
        asked.groups(DAYS, NOW + LAST_KNOWN)
    assert (refusal.value.status, refusal.value.code) == (503, "dead_letters_unavailable")


def test_without_the_cache_a_process_remembers_and_takes_its_share_of_the_questions(
    redrive: Redrive, server: NoQuotas
) -> None:
    server.away = True
    asked = letters(redrive, server)
    asked.groups(DAYS, NOW)
    assert asked.groups(DAYS, after(200)) == (NONE, NOW)
    assert len(redrive.asked) == 1
