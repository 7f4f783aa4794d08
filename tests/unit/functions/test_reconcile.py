"""A run of reconcile reports its findings, leaves to the next run what it cannot do, and reruns the named records."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import psycopg
import pytest
from botocore.exceptions import EndpointConnectionError

from functions.reconcile import handler
from sluice.core.consumers import ACCOUNTED
from sluice.core.errors import Retryable
from sluice.core.ledger.holes import Hole, Standing
from sluice.core.ledger.rerun import ReadRecord
from sluice.core.offsets import Extent
from sluice.edge.bucket import Bucket
from sluice.edge.ledger.counted_objects import CountedObjects, Counts, Folder
from sluice.edge.ledger.reconcile_run import Order, ReconcileRun
from sluice.edge.ledger.reconciling import Accountable, Comparison, Ledger, Reconciling, Rerun
from sluice.edge.ledger.tables import LedgerTables
from sluice.edge.metrics import metrics
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
LOGIN = {
    "DATABASE_HOST": "nowhere",
    "DATABASE_PORT": "1",
    "DATABASE_NAME": "sluice",
    "DATABASE_USER": "sluice_reconcile",
    "DATABASE_AUTH": "none",
    "AWS_REGION": "here",
}


class Clock:
    """Says how much time is left."""

    def __init__(self, seconds: int = 600) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return self._seconds * 1000


class Brokers:
    """Return what a topic holds."""

    def ask_extents(self) -> dict[int, Extent]:
        return {3: Extent(10, 50)}


def ledger_of(s3: Any = None, moment: datetime = NOON) -> Ledger:
    brokers: Any = Brokers()
    nothing: Any = None
    consumers = {one.name: Accountable(nothing, nothing, timedelta(minutes=15)) for one in ACCOUNTED}
    raw, letters = (Folder(Bucket(s3, name), f"{name}/") for name in ("raw", "letters"))
    return Ledger(
        topic="raw-events",
        raw=raw,
        letters=letters,
        cluster_arn="arn",
        bootstrap="broker",
        offsets=brokers,
        rereader=nothing,
        consumers=consumers,
        contracts=nothing,
        now=lambda: moment,
    )


def run(connection: Any = None, **given: Any) -> ReconcileRun:
    return ReconcileRun(ledger_of(**given), connection, lambda: True)


def parts() -> tuple[Ledger, ReconcileSettings]:
    return ledger_of(), SETTINGS


def comparison(*holes: Hole, in_flight: int = 0, newly_missing: int = 0) -> Comparison:
    return Comparison({0: Standing(0, 90, 100)}, {0: list(holes)}, in_flight, newly_missing)


class Lock:
    """A connection whose lock is free, or not."""

    def __init__(self, *, free: bool) -> None:
        self._free = free

    def execute(self, *_arguments: Any) -> Any:
        return self

    def fetchone(self) -> tuple[bool]:
        return (self._free,)


class Lent:
    """A database whose connection is unusable."""

    def __init__(self, _connect: Any, seconds: float) -> None:
        assert seconds in (178, 179, 598)

    def use(self) -> Any:
        return nullcontext()

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    monkeypatch.setattr(handler, "build", parts)
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)


def test_what_was_missing_is_reported_even_where_it_was_repaired_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "archive": comparison(in_flight=2),
        "aggregate": comparison(Hole(0, 7, NOON, missing=True), Hole(9, 10, NOON)),
    }
    left = {"archive": comparison(in_flight=3), "aggregate": comparison(Hole(9, 10, NOON))}
    assert run().tell(Counts(objects=2, new=5, complete=True), found, left, 7) == {
        "ObjectsCounted": 2,
        "RecordsNewlyCounted": 5,
        "ObjectsUnreadable": 0,
        "EventsRerun": 7,
        "HolesOpen": 1,
        "RecordsInFlight": {"archive": 3, "aggregate": 0},
        "UnaccountedEvents": 7,
    }
    assert metrics.metric_set["UnaccountedEvents"]["Value"] == [7]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "Namespace" in line]
    assert {line["consumer"]: line["RecordsInFlight"] for line in lines} == {"archive": [3], "aggregate": [0]}


def test_no_metric_says_that_nothing_is_missing_while_not_all_is_counted() -> None:
    done = run().tell(Counts(complete=False), {}, {}, 0)
    assert "UnaccountedEvents" not in done
    assert "UnaccountedEvents" not in metrics.metric_set


def test_buckets_that_cannot_be_read_are_left_to_the_next_run_and_nothing_is_missing_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Away:
        def get_paginator(self, _operation: str) -> Any:
            raise EndpointConnectionError(endpoint_url="s3")

    def compare(_self: Any, *, complete: bool) -> dict[str, Comparison]:
        assert not complete
        return {}

    monkeypatch.setattr(LedgerTables, "any_missing", lambda _self: True)
    monkeypatch.setattr(CountedObjects, "_start", lambda *_: "")
    monkeypatch.setattr(Reconciling, "compare", compare)
    assert "UnaccountedEvents" not in run(Lock(free=True), s3=Away()).reconcile()


@pytest.mark.parametrize(("seconds", "may"), [(181, True), (180, False)])
@pytest.mark.filterwarnings("ignore:No application metrics")
def test_nothing_is_begun_that_could_not_be_ended(seconds: int, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "Database", Lent)
    monkeypatch.setattr(ReconcileRun, "reconcile", lambda self: self._may_go_on())
    assert handler.handler({}, Clock(seconds)) is may


@pytest.mark.parametrize(
    ("order", "done", "given", "answer"),
    [
        ((0, 60), Rerun(40, 50), (10, 50), {"records": 40, "next": None, "failed_at": None}),
        ((20, 40), Rerun(5, 25), (20, 40), {"records": 5, "next": 25, "failed_at": None}),
        ((20, 40), Rerun(5, 22, 22), (20, 40), {"records": 5, "next": None, "failed_at": 22}),
        ((0, 10), None, None, {"records": 0, "next": None, "failed_at": None}),
    ],
)
def test_a_consumer_is_run_again_from_what_kafka_still_has_and_the_answer_says_where_to_continue(
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
    assert run(Lock(free=True)).rerun(Order("aggregate", 3, *order)) == answer
    assert asked == ([] if given is None else [given])


def test_a_rerun_ends_where_kafka_holds_no_record_at_the_last_offsets() -> None:
    class Empty:
        def read(self, _partition: int, _start: int, _end: int) -> Iterator[list[ReadRecord]]:
            return iter([])

    ledger = msgspec.structs.replace(ledger_of(), rereader=Empty())
    answer = ReconcileRun(ledger, cast("Any", Lock(free=True)), lambda: True).rerun(Order("aggregate", 3, 20, 40))
    assert answer == {"records": 0, "next": None, "failed_at": None}


def test_a_rerun_of_a_partition_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ValueError, match="raw-events has partitions 3 to 3, not 99"):
        run(Lock(free=True)).rerun(Order("aggregate", 99, 20, 40))


def test_by_hand_nothing_is_run_again_while_another_run_is_at_work() -> None:
    assert run(Lock(free=False)).rerun(Order("aggregate", 3, 20, 40)) == {"busy": True}


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_statement_that_cannot_be_drawn_up_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_arguments: Any) -> Any:
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(handler, "connect", connect)
    assert handler.handler({"statement": "2026-03-01"}, Clock()) == {}


def test_what_is_newly_missing_is_reported_even_where_the_run_does_not_finish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compare(*_parts: Any, **_named: bool) -> dict[str, Comparison]:
        return {"archive": comparison(newly_missing=2), "aggregate": comparison(newly_missing=3)}

    def mend(*_parts: Any) -> int:
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(CountedObjects, "count", lambda *_parts, **_named: Counts(complete=True))
    monkeypatch.setattr(Reconciling, "compare", compare)
    monkeypatch.setattr(Reconciling, "mend", mend)
    with pytest.raises(psycopg.OperationalError):
        run(Lock(free=True)).reconcile()
    assert {name: one["Value"] for name, one in metrics.metric_set.items()} == {"NewlyMissing": [5]}


@pytest.mark.parametrize(
    ("moment", "missing", "all_letters"),
    [(NOON, False, False), (NOON, True, True), (NOON.replace(hour=0, minute=59), False, True)],
)
def test_all_letters_are_looked_through_while_something_is_missing_and_once_a_day(
    moment: datetime, missing: bool, all_letters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(LedgerTables, "any_missing", lambda _self: missing)

    def count(*_parts: Any, all_letters: bool) -> Counts:
        asked.append(all_letters)
        return Counts()

    monkeypatch.setattr(CountedObjects, "count", count)
    monkeypatch.setattr(Reconciling, "compare", lambda *_, **_named: {})
    run(Lock(free=True), moment=moment).reconcile()
    assert asked == [all_letters]


@pytest.mark.parametrize("consumer", [consumer.name for consumer in ACCOUNTED])
def test_every_accounted_consumer_has_a_function_to_run_again_and_a_grace(consumer: str) -> None:
    assert {f"{consumer}_function", f"{consumer}_grace_seconds"} <= set(ReconcileSettings.__struct_fields__)


def test_who_accounts_for_nothing_is_not_run_again() -> None:
    with pytest.raises(ValueError, match="'detect' is not one of archive, aggregate"):
        run().rerun(Order("detect", 0, 0, 1))


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_an_outage_is_left_to_the_next_run_and_a_defect_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> Any:
        raise Retryable("the brokers do not answer")

    monkeypatch.setattr(handler, "Database", Lent)
    monkeypatch.setattr(ReconcileRun, "reconcile", fail)
    assert handler.handler({}, Clock()) == {}
    monkeypatch.setattr(ReconcileRun, "reconcile", lambda _self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        handler.handler({}, Clock())
