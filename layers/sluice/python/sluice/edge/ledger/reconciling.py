"""Comparing the brokers' offsets with the accounts, and rerunning missing events."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg

from sluice.core.events.contracts import Contracts
from sluice.core.ledger.holes import Hole, Standing, date_holes, judge_holes, mark_rerun, subtract
from sluice.core.ledger.rerun import Taken, name_event, write_event
from sluice.core.offsets import Extent
from sluice.edge.invoked import InvokedFunction
from sluice.edge.ledger.counted_objects import Folder
from sluice.edge.ledger.rereading import Rereader
from sluice.edge.ledger.tables import LedgerTables
from sluice.edge.topic_offsets import TopicOffsets


class Accountable(msgspec.Struct, frozen=True):
    """A consumer that must account for every offset it commits."""

    function: InvokedFunction
    offsets: TopicOffsets
    grace: timedelta
    """How long committed records may be in flight to the store."""


class Ledger(msgspec.Struct, frozen=True):
    """The dependencies of every run."""

    topic: str
    raw: Folder
    letters: Folder
    cluster_arn: str
    bootstrap: str
    offsets: TopicOffsets
    rereader: Rereader
    consumers: Mapping[str, Accountable]
    contracts: Contracts
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Comparison(msgspec.Struct, frozen=True):
    """A consumer's state against the brokers."""

    standing: dict[int, Standing]
    holes: dict[int, list[Hole]]
    in_flight: int
    newly_missing: int
    """The missing offsets that were not missing at the last comparison."""

    @property
    def open(self) -> int:
        """Return how many committed offsets are not accounted for."""
        return sum(hole.size for holes in self.holes.values() for hole in holes)

    @property
    def missing(self) -> int:
        """Return how many of them are missing."""
        return sum(_missing(holes) for holes in self.holes.values())


class Rerun(msgspec.Struct, frozen=True):
    """The result of a rerun: its number of records, its end, and the first offset that failed."""

    records: int
    until: int
    failed_at: int | None = None


class Reconciling:
    """One run over one topic and its consumers."""

    def __init__(self, ledger: Ledger, tables: LedgerTables, may_go_on: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._tables = tables
        self._may_go_on = may_go_on

    def compare(self, *, complete: bool) -> dict[str, Comparison]:
        """Find the offsets that each consumer does not account for; uncounted objects must not make events missing."""
        asked_at = self._ledger.now()
        extents = self._ledger.offsets.ask_extents()
        comparisons: dict[str, Comparison] = {}
        for consumer, terms in self._ledger.consumers.items():
            committed = terms.offsets.ask_committed(extents)
            standing = {partition: _stand(extents[partition], committed.get(partition, 0)) for partition in extents}
            # Read after the brokers were asked: offsets committed by then are covered by now, or they are a hole.
            covered, known = self._tables.covered(consumer), self._tables.holes(consumer)
            holes: dict[int, list[Hole]] = {}
            in_flight = newly_missing = 0
            for partition, stands in standing.items():
                accounted = covered.get(partition, ())
                uncovered = subtract((0, stands.committed), accounted)
                found = date_holes(uncovered, known.get(partition, ()), asked_at)
                holes[partition] = judge_holes(found, asked_at, terms.grace) if complete else found
                newly_missing += _missing(holes[partition]) - _missing(found)
                in_flight += sum(end - start for start, end in subtract((0, stands.last), accounted))
                in_flight -= sum(hole.size for hole in found)
            comparisons[consumer] = Comparison(standing, holes, in_flight, newly_missing)
        # Written after all comparisons: an event that is written as missing is no longer new.
        for consumer, one in comparisons.items():
            self._tables.write_standing(consumer, one.standing, asked_at)
            self._tables.write_holes(consumer, one.holes)
        self._tables.forget_found()
        return comparisons

    def mend(self, comparisons: Mapping[str, Comparison], warn: Callable[[str], None]) -> int:
        """Run missing events that are still in Kafka again, while time is left; return the number of records.

        A failure at some offsets does not block the others.
        """
        records = 0
        for consumer, comparison in comparisons.items():
            grace = self._ledger.consumers[consumer].grace
            for partition, holes in comparison.holes.items():
                for hole in holes:
                    start = max(hole.start, comparison.standing[partition].first)
                    if start >= hole.end or not hole.may_rerun(self._ledger.now(), grace):
                        continue
                    if not self._may_go_on():
                        return records
                    try:
                        done = self.rerun(consumer, partition, start, hole.end, missing=True)
                    except psycopg.OperationalError:
                        raise  # the database is down
                    except Exception as error:  # noqa: BLE001 - it stays missing, and an alarm reports that
                        warn(f"{consumer} could not be run again from partition {partition} offset {start}: {error!r}")
                        continue
                    records += done.records
                    if done.failed_at is not None:
                        warn(f"{consumer} did not take partition {partition} offset {done.failed_at}")
        return records

    def rerun(self, consumer: str, partition: int, start: int, end: int, *, missing: bool) -> Rerun:
        """Run a consumer again on some offsets, as its event source would, while time is left."""
        done = Rerun(0, start)
        for piece in self._ledger.rereader.read(partition, start, end):
            if missing:
                self._tables.name(consumer, (name_event(record, self._ledger.contracts) for record in piece))
            event = write_event(piece, self._ledger.cluster_arn, self._ledger.bootstrap)
            failed_at = self._ledger.consumers[consumer].function.ask(msgspec.Raw(event), Taken).failed_at()
            until = piece[-1].origin.offset + 1
            done = Rerun(done.records + len(piece), until if failed_at is None else failed_at, failed_at)
            holes = self._tables.holes(consumer).get(partition, [])
            self._tables.write_holes(
                consumer, {partition: mark_rerun(holes, (piece[0].origin.offset, until), self._ledger.now())}
            )
            if failed_at is not None or not self._may_go_on():
                break
        else:
            # Kafka may hold no record at the last offsets: they are read all the same.
            done = Rerun(done.records, end)
        return done


def _missing(holes: Iterable[Hole]) -> int:
    return sum(hole.size for hole in holes if hole.missing)


def _stand(extent: Extent, committed: int) -> Standing:
    # The group may have advanced since the partition's end was read.
    return Standing(extent.first, committed, max(extent.last, committed))
