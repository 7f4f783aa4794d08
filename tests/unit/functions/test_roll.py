"""A run of roll takes step after step, survives temporary failures, and reports its progress."""

import inspect
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest

from functions.roll import handler
from functions.roll.handler import report
from sluice.core.errors import Retryable
from sluice.core.offsets import Extent
from sluice.core.rollups.resolutions import Resolution
from sluice.core.rollups.watermark import Covered
from sluice.edge.metrics import metrics
from sluice.edge.rollups.roll_loop import LEAVE_ALONE_SECONDS, Clock, RollLoop, RollReport
from sluice.edge.rollups.rolling import Rolled, UnrollableError
from sluice.edge.settings import RollSettings

if TYPE_CHECKING:
    from sluice.edge.rollups.rolling import Rolling
    from sluice.edge.topic_offsets import TopicOffsets

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTINGS = RollSettings(
    raw_events_topic="raw-events",
    produce_deadline_seconds=5,
    grace_seconds=10,
    straggler_seconds=60,
    hour_seconds=300,
    day_seconds=900,
    roll_shards=16,
    roll_loop_seconds=10,
    roll_pause_seconds=1,
    roll_answer_seconds=30,
)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed)


class Database:
    """The due work by resolution, and the failures before it is done."""

    def __init__(self, time: Time, due: dict[str, list[Rolled | Exception]]) -> None:
        self._time = time
        self._due = due
        self.asked: list[tuple[datetime | None, int]] = []
        self.away = False
        self.aside: frozenset[int] = frozenset()

    def read_covered(self, consumer: str, topic: str) -> dict[int, Covered]:
        assert (consumer, topic) == ("aggregate", "raw-events")
        if self.away:
            raise Retryable("away")
        return {0: Covered(5, NOON - timedelta(seconds=30))}

    def roll_minutes(self, watermark: datetime | None, shards: int, aside: frozenset[int]) -> Rolled:
        self.asked.append((watermark, shards))
        self.aside = aside
        return self._next("1m")

    def roll_wider(self, resolution: Resolution, aside: frozenset[int]) -> Rolled:
        assert aside == self.aside
        return self._next(resolution)

    def count_markers(self) -> int:
        if self.away:
            raise Retryable("away")
        return 7

    def _next(self, resolution: str) -> Rolled:
        done = self._due[resolution].pop(0) if self._due.get(resolution) else Rolled()
        self._time.passed += 0.25 * (done != Rolled())
        if isinstance(done, Exception):
            raise done
        return done


class Brokers:
    """A topic with one partition."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    def ask_extents(self) -> dict[int, Extent]:
        self.asked += 1
        if self.away:
            raise Retryable("away")
        return {0: Extent(0, 5)}


def said() -> dict[str, float]:
    """The metrics of the run."""
    return {name: sum(metric["Value"]) for name, metric in metrics.metric_set.items()}


def loop(time: Time, database: Database, brokers: Brokers | None = None) -> RollLoop:
    return RollLoop(
        SETTINGS,
        cast("Rolling", database),
        cast("TopicOffsets", brokers or Brokers()),
        Clock(time.now, lambda: time.passed, time.sleep),
    )


# Without the decorator that writes and clears the metrics at an invocation's end.
roll_once = partial(inspect.unwrap(handler.handler), None, None)


def run(due: dict[str, list[Any]], brokers: Brokers | None = None) -> tuple[Database, Time, RollReport]:
    time = Time()
    database = Database(time, due)
    tally = loop(time, database, brokers).run()
    report(tally)
    return database, time, tally


def test_what_is_due_is_rolled_without_a_pause_and_what_is_not_is_waited_for() -> None:
    minutes = [Rolled(16, 900, 0), Rolled(16, 800, 2), Rolled(4, 0, 0)]
    database, time, tally = run({"1m": [*minutes], "1h": [Rolled(1, 50, 0)], "1d": [Rolled(1, 5, 1)]})
    assert (tally.steps, tally.windows, tally.error) == (len(database.asked), 1755, None)
    assert set(time.slept) == {1}
    # Three steps had something to do, and the rest of the time is slept through.
    assert len(database.asked) == 3 + len(time.slept)
    assert said() | {"RollSeconds": 0} == {
        "WindowsRolled": 1755,
        "WindowsBelowHorizon": 3,
        "StepsFailed": 0,
        "BrokersUnanswered": 0,
        "MarkersPending": 7,
        "RollSeconds": 0,
        "WatermarkAgeSeconds": pytest.approx(6),
    }


def test_the_watermark_is_asked_for_at_every_step() -> None:
    database, _, _ = run({})
    assert [watermark for watermark, _ in database.asked[:3]] == [
        NOON + timedelta(seconds=second - 5) for second in range(3)
    ]


def test_a_run_of_a_process_that_the_brokers_have_not_answered_closes_nothing_and_fails() -> None:
    brokers = Brokers()
    brokers.away = True
    database, _, tally = run({}, brokers)
    assert {watermark for watermark, _ in database.asked} == {None}
    assert str(tally.error) == "the brokers have not answered this process"
    assert said()["BrokersUnanswered"] == len(database.asked)


def test_brokers_that_do_not_answer_are_left_alone_for_a_moment() -> None:
    brokers, time = Brokers(), Time()
    brokers.away = True
    database = Database(time, {})
    rolling = loop(time, database, brokers)
    rolling.run()
    assert SETTINGS.roll_loop_seconds <= LEAVE_ALONE_SECONDS < time.passed + 1
    assert brokers.asked == 1
    brokers.away = False
    assert rolling.run().unanswered == 0
    assert brokers.asked > 1


def test_a_step_that_fails_is_taken_again_with_less() -> None:
    failures = [Retryable("too much"), Retryable("too much"), Retryable("too much")]
    database, _, tally = run({"1m": [*failures, Rolled(2, 10, 0)]})
    assert [shards for _, shards in database.asked[:8]] == [16, 8, 4, 2, 4, 8, 16, 16]
    assert (tally.windows, tally.error) == (10, None)
    assert said()["StepsFailed"] == 3


def test_what_was_rolled_before_a_failure_is_counted() -> None:
    _, _, tally = run({"1m": [Rolled(16, 900, 0)], "1h": [Retryable("gone")]})
    assert tally.windows == 900


def test_a_run_in_which_nothing_succeeds_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    database = Database(time, {})
    database.away = True
    monkeypatch.setattr(handler, "build", lambda: loop(time, database))
    with pytest.raises(Retryable, match="away"):
        roll_once()
    assert time.passed >= SETTINGS.roll_loop_seconds
    assert "MarkersPending" not in said()
    assert said()["StepsFailed"] > 3


def test_a_shard_that_cannot_be_rolled_keeps_no_other_waiting_and_is_reported_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    several, single = UnrollableError({3, 4, 5}, psycopg.DataError()), UnrollableError({4}, psycopg.DataError())
    time = Time()
    database = Database(time, {"1m": [several, Rolled(1, 20, 0), single, Rolled(2, 30, 0)]})
    monkeypatch.setattr(handler, "build", lambda: loop(time, database))
    with pytest.raises(UnrollableError, match=r"shards \[4\]"):
        roll_once()
    assert [shards for _, shards in database.asked[:6]] == [16, 1, 2, 1, 2, 4]
    assert database.aside == {4}
    assert time.passed >= SETTINGS.roll_loop_seconds
    assert said()["WindowsRolled"] == 50


def test_a_defect_is_not_taken_for_an_outage() -> None:
    with pytest.raises(ZeroDivisionError):
        run({"1m": [ZeroDivisionError()]})
