"""A fleet that attend cannot attend to does not keep it from the others, nor from what follows them."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from sluice.core.errors import Retryable
from sluice.edge.alerts.attending import Attending
from tests.support.alerts import MINUTE, SENDER, START

FLEETS = ["a", "b", "c"]


class Played(Attending, frozen=True):
    """Attends to fleets of which some fail."""

    failing: dict[str, Exception]
    done: list[str]

    def _attend_to(self, fleet_id: str, now: datetime) -> None:
        assert now >= START
        self.done.append(fleet_id)
        if fleet_id in self.failing:
            raise self.failing[fleet_id]

    def _send(self, _now: datetime) -> None:
        self.done.append("send")

    def _renew(self, _now: datetime) -> None:
        self.done.append("renew")

    def _measure(self, _now: datetime) -> None:
        self.done.append("measure")


class Tables:
    """A database with three fleets."""

    def __init__(self, _connection: object) -> None:
        pass

    def list_active(self) -> list[str]:
        """List them."""
        return FLEETS


class Store:
    """A database that is there."""

    def use(self) -> Any:
        """Lend nothing."""
        return contextlib.nullcontext()


Run = Callable[..., list[str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run once; the clock stands at a minute that begins with the first fleet."""
    monkeypatch.setattr("sluice.edge.alerts.attending.AlertTables", Tables)

    def run_once(done: list[str], now: datetime, **failing: Exception) -> list[str]:
        store: Any = Store()
        Played(store, store, store, SENDER, (), lambda: True, failing, done).run(now)
        return done

    return run_once


def first_minute() -> datetime:
    return next(START + n * MINUTE for n in range(3) if int((START + n * MINUTE).timestamp()) // 60 % 3 == 0)


def test_a_fleet_that_is_busy_is_left_to_the_next_run(run: Run) -> None:
    done = run([], first_minute(), a=Retryable("its lock is held"))
    assert done == ["send", "a", "b", "c", "send", "renew", "measure"]


def test_a_defect_of_one_fleet_is_raised_after_all_else_is_done(run: Run) -> None:
    done: list[str] = []
    with pytest.raises(ValueError, match="broken"):
        run(done, first_minute(), a=ValueError("broken"))
    assert done == ["send", "a", "b", "c", "send", "renew", "measure"]


def test_each_run_begins_at_another_fleet(run: Run) -> None:
    begun = [run([], first_minute() + n * MINUTE)[1:4] for n in range(3)]
    assert begun == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]
