"""A run of reconcile says what it found, leaves to the next what it cannot do now, and runs again what it is told."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from botocore.exceptions import EndpointConnectionError

from functions.reconcile import handler
from functions.reconcile.handler import Order, Parts
from sluice.core.errors import Retryable
from sluice.core.ledger.holes import Hole, Standing
from sluice.core.offsets import Extent
from sluice.edge.ledger.counted_objects import Counts
from sluice.edge.ledger.reconciling import Accountable, Cluster, Comparison, Reconciling, Rerun
from sluice.edge.ledger.tables import LedgerTables
from sluice.edge.settings import ReconcileSettings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = ReconcileSettings(
    raw_events_topic="raw-events",
    kafka_cluster_arn="arn",
    raw_bucket="raw",
    dead_letter_bucket="letters",
    aws_region="here",
    archive_function="archive",
    archive_grace_seconds=3600,
    aggregate_function="aggregate",
    aggregate_grace_seconds=900,
    rerun_seconds=120,
    reserve_seconds=180,
    statement_seconds=30,
)


class Clock:
    """Says how much time is left."""

    def __init__(self, seconds: int = 600) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return self._seconds * 1000


class Brokers:
    """Say what a topic holds."""

    def ask(self) -> dict[int, Extent]:
        return {3: Extent(10, 50)}


def parts(s3: Any = None, connect: Any = nullcontext) -> Parts:
    brokers: Any = Brokers()
    nothing: Any = None
    consumers = {name: Accountable(nothing, nothing, timedelta(minutes=15)) for name in ("archive", "aggregate")}
    return Parts(SETTINGS, connect, s3, Cluster("arn", "broker", brokers, nothing), consumers)


def comparison(*holes: Hole, in_flight: int = 0, newly_missing: int = 0) -> Comparison:
    return Comparison({0: Standing(0, 90, 100)}, {0: list(holes)}, in_flight, newly_missing)


class Lock:
    """A connection whose lock may be had, or not."""

    def __init__(self, *, free: bool) -> None:
        self._free = free

    def execute(self, *_arguments: Any) -> Any:
        return self

    def fetchone(self) -> tuple[bool]:
        return (self._free,)


@pytest.fixture(autouse=True)
def metrics() -> Any:
    yield
    handler.metrics.clear_metrics()


def test_what_was_missing_is_told_even_where_it_was_mended_at_once() -> None:
    found = {
        "archive": comparison(in_flight=2),
        "aggregate": comparison(Hole(0, 7, NOON, missing=True), Hole(9, 10, NOON)),
    }
    left = {"archive": comparison(in_flight=3), "aggregate": comparison(Hole(9, 10, NOON))}
    assert handler.tell(Counts(objects=2, records=9, new=5, complete=True), found, left, 7) == {
        "ObjectsCounted": 2,
        "RecordsNewlyCounted": 5,
        "ObjectsUnreadable": 0,
        "EventsRerun": 7,
        "HolesOpen": 1,
        "ArchiveInFlight": 3,
        "AggregateInFlight": 0,
        "UnaccountedEvents": 7,
    }


def test_nobody_is_told_that_nothing_is_missing_while_not_all_is_counted() -> None:
    done = handler.tell(Counts(complete=False), {}, {}, 0)
    assert "UnaccountedEvents" not in done


def test_buckets_that_cannot_be_read_are_left_to_the_next_run() -> None:
    class Away:
        def get_paginator(self, _operation: str) -> Any:
            raise EndpointConnectionError(endpoint_url="s3")

    class Empty:
        def execute(self, *_arguments: Any) -> Any:
            return self

        def fetchone(self) -> None:
            return None

    connection: Any = Empty()
    assert handler.count(connection, parts(Away()), Clock(), all_letters=False) == Counts()


@pytest.mark.parametrize(("seconds", "may"), [(181, True), (180, False)])
def test_nothing_is_begun_that_could_not_be_ended(seconds: int, may: bool) -> None:
    assert handler.has_time(parts(), Clock(seconds))() is may


@pytest.mark.parametrize(
    ("order", "done", "given", "answer"),
    [
        ((0, 60), Rerun(40, 50), (10, 50), {"records": 40, "next": None, "failed_at": None}),
        ((20, 40), Rerun(5, 25), (20, 40), {"records": 5, "next": 25, "failed_at": None}),
        ((20, 40), Rerun(5, 22, 22), (20, 40), {"records": 5, "next": None, "failed_at": 22}),
        ((0, 10), None, None, {"records": 0, "next": None, "failed_at": None}),
    ],
)
def test_a_consumer_is_run_again_from_what_kafka_still_has_and_it_is_said_where_to_go_on(
    order: tuple[int, int],
    done: Rerun | None,
    given: tuple[int, int] | None,
    answer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []

    def rerun(_self: Any, consumer: str, partition: int, start: int, end: int, *, missing: bool) -> Rerun:
        assert (consumer, partition, missing) == ("aggregate", 3, False)
        asked.append((start, end))
        assert done is not None
        return done

    monkeypatch.setattr(Reconciling, "rerun", rerun)
    connection: Any = Lock(free=True)
    assert handler.rerun(Order("aggregate", 3, *order), connection, parts(), Clock()) == answer
    assert asked == ([] if given is None else [given])


def test_by_hand_nothing_is_run_again_while_another_run_is_at_work() -> None:
    connection: Any = Lock(free=False)
    assert handler.rerun(Order("aggregate", 3, 20, 40), connection, parts(), Clock()) == {"busy": True}


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_statement_that_cannot_be_drawn_up_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> Any:
        raise psycopg.OperationalError("away")

    away = msgspec.structs.replace(parts(), connect=connect)
    monkeypatch.setattr(handler, "build", lambda: away)
    assert handler.handler({"statement": "2026-03-01"}, Clock()) == {}


def test_what_is_newly_missing_is_told_even_where_the_run_does_not_come_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compare(*_parts: Any, **_named: bool) -> dict[str, Comparison]:
        return {"archive": comparison(newly_missing=2), "aggregate": comparison(newly_missing=3)}

    def mend(*_parts: Any) -> int:
        raise psycopg.OperationalError("away")

    told: dict[str, float] = {}
    monkeypatch.setattr(handler, "count", lambda *_parts, **_named: Counts(complete=True))
    monkeypatch.setattr(handler.metrics, "add_metric", lambda name, _unit, value: told.update({name: value}))
    monkeypatch.setattr(Reconciling, "compare", compare)
    monkeypatch.setattr(Reconciling, "mend", mend)
    connection: Any = Lock(free=True)
    with pytest.raises(psycopg.OperationalError):
        handler.reconcile(connection, parts(), Clock())
    assert told == {"NewlyMissing": 5}


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.parametrize(
    ("moment", "missing", "all_letters"),
    [(NOON, False, False), (NOON, True, True), (NOON.replace(hour=0, minute=59), False, True)],
)
def test_all_letters_are_looked_through_while_something_is_missing_and_once_a_day(
    moment: datetime, missing: bool, all_letters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    class Now(datetime):
        @classmethod
        def now(cls, _zone: Any = None) -> Any:
            return moment

    monkeypatch.setattr(handler, "datetime", Now)
    monkeypatch.setattr(LedgerTables, "any_missing", lambda _self: missing)

    def count(*_parts: Any, all_letters: bool) -> Counts:
        asked.append(all_letters)
        return Counts()

    monkeypatch.setattr(handler, "count", count)
    monkeypatch.setattr(Reconciling, "compare", lambda *_, **_named: {})
    connection: Any = Lock(free=True)
    handler.reconcile(connection, parts(), Clock())
    assert asked == [all_letters]


def test_who_accounts_for_nothing_is_not_run_again() -> None:
    connection: Any = None
    with pytest.raises(ValueError, match="'detect' is not one of archive, aggregate"):
        handler.rerun(Order("detect", 0, 0, 1), connection, parts(), Clock())


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.parametrize("error", [psycopg.OperationalError("away"), Retryable("the brokers do not answer")])
def test_whoever_is_away_is_left_to_the_next_run_and_a_defect_is_not(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(handler, "build", parts)
    monkeypatch.setattr(handler, "reconcile", fail)
    assert handler.handler({}, Clock()) == {}
    monkeypatch.setattr(handler, "reconcile", lambda *_arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        handler.handler({}, Clock())
