"""One run of reconcile: count, compare, rerun and report, or do what the event asks for instead."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.ledger.statement import LedgerFacts, Statement, draw_up
from sluice.core.metrics import (
    EVENTS_RERUN,
    HOLES_OPEN,
    NEWLY_MISSING,
    OBJECTS_COUNTED,
    OBJECTS_UNREADABLE,
    RECORDS_IN_FLIGHT,
    RECORDS_NEWLY_COUNTED,
    UNACCOUNTED_EVENTS,
    Metric,
)
from sluice.edge import database
from sluice.edge.database import Connection
from sluice.edge.ledger.counted_objects import CountedObjects, Counts
from sluice.edge.ledger.reconciling import Comparison, Ledger, Reconciling
from sluice.edge.ledger.statements import read_facts
from sluice.edge.ledger.tables import LedgerTables
from sluice.edge.metrics import record, record_all, record_apart

logger = Logger()


class Order(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Offsets of a partition for which to run a consumer again: the first is included, the last is not."""

    consumer: str
    partition: int
    start: int
    end: int


class ReconcileRun:
    """A run, as long as its connection and its time last."""

    def __init__(self, ledger: Ledger, connection: Connection, may_go_on: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._connection = connection
        self._may_go_on = may_go_on
        self._tables = LedgerTables(connection, ledger.topic)
        self._work = Reconciling(ledger, self._tables, may_go_on)

    def reconcile(self) -> dict[str, Any]:
        """Count, compare and mend, unless another run is active."""
        if not self._tables.lock():
            logger.info("another run is still active")
            return {}
        # Letters of a day long past may arrive late. For records they show as missing events, for rejected events they
        # do not: all letters are searched in the first hour of a day.
        counts = self._count(all_letters=self._tables.any_missing() or self._ledger.now().hour == 0)
        found = self._compare(counts)
        records = self._work.mend(found, logger.warning)
        return self.tell(counts, found, self._compare(counts) if records else found, records)

    def rerun(self, order: Order) -> dict[str, Any]:
        """Run a consumer again from offsets while time is left, unless another run is active; say where to continue."""
        ledger = self._ledger
        if order.consumer not in ledger.consumers:
            raise ValueError(f"{order.consumer!r} is not one of {', '.join(ledger.consumers)}")
        extents = ledger.offsets.ask_extents()
        if order.partition not in extents:
            raise ValueError(f"{ledger.topic} has partitions {min(extents)} to {max(extents)}, not {order.partition}")
        extent = extents[order.partition]
        start, end = max(order.start, extent.first), min(order.end, extent.last)
        if start >= end:
            return {"records": 0, "next": None, "failed_at": None}
        if not self._tables.lock():
            return {"busy": True}
        done = self._work.rerun(order.consumer, order.partition, start, end, missing=False)
        goes_on = done.failed_at is None and done.until < end
        return {"records": done.records, "next": done.until if goes_on else None, "failed_at": done.failed_at}

    def draw_up(self, day: date) -> Statement:
        """Draw up a day's statement for all fleets."""

        def ask(kind: type[LedgerFacts], sql: str, *parameters: str) -> LedgerFacts:
            answer = database.ask(self._connection, sql, *parameters)
            return msgspec.json.decode(answer or b"null", type=kind)

        return draw_up(day.isoformat(), read_facts(ask, day))

    def tell(
        self, counts: Counts, found: Mapping[str, Comparison], left: Mapping[str, Comparison], records: int
    ) -> dict[str, Any]:
        """Record the work done and the rest; missing events count even if they were mended at once."""
        done: dict[Metric, float] = {
            OBJECTS_COUNTED: counts.objects,
            RECORDS_NEWLY_COUNTED: counts.new,
            OBJECTS_UNREADABLE: len(counts.unreadable),
            EVENTS_RERUN: records,
            HOLES_OPEN: sum(one.open for one in left.values()),
        }
        if counts.complete:
            done[UNACCOUNTED_EVENTS] = sum(one.missing for one in found.values())
        in_flight = {consumer: one.in_flight for consumer, one in left.items()}
        for consumer, number in in_flight.items():
            record_apart(RECORDS_IN_FLIGHT, number, consumer=consumer)
        told = {**record_all(done), RECORDS_IN_FLIGHT.name: in_flight}
        logger.info("reconciled", extra={"missing": {name: one.missing for name, one in left.items()}, **told})
        return told

    def _count(self, *, all_letters: bool) -> Counts:
        """Count stored records; while not all objects can be read, nothing is called missing."""
        ledger = self._ledger
        objects = CountedObjects(self._connection, ledger.raw, ledger.letters, ledger.now)
        counts = objects.count(self._may_go_on, all_letters=all_letters)
        if counts.trouble is not None:
            logger.warning("the buckets cannot be read", extra={"reason": counts.trouble})
        for name, reason in counts.unreadable.items():
            logger.error("an object cannot be counted", extra={"object": name, "reason": reason})
        return counts

    def _compare(self, counts: Counts) -> dict[str, Comparison]:
        found = self._work.compare(complete=counts.complete)
        # Recorded at once: if a later step raises, the next run no longer counts these as new.
        record(NEWLY_MISSING, sum(one.newly_missing for one in found.values()))
        return found
