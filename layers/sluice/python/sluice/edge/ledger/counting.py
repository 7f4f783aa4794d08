"""Counting stored records: each once, in any file, in any order, even if it occurs several times.

lock coverage -> drop covered records -> count the rest by fleet, hour, contract and version -> cover -> commit

An hour of a busy deployment has tens of millions of rows: they are processed as columns, never one by one. The rate is
about two million a second, including the reading of the file and the transaction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg.types.range import Int8Range

from sluice.core.consumers import AGGREGATE, ARCHIVE, DEAD_LETTERED
from sluice.core.ledger.groups import LedgerGroup
from sluice.core.offsets import Span
from sluice.core.records import Origin, Partition
from sluice.core.times import write_time
from sluice.edge.database import Connection
from sluice.edge.ledger.coverage import Held, begin_anew, extend_coverage, lock_places
from sluice.edge.ledger.dead_lettered import note_dead_lettered
from sluice.edge.ledger.given_up import find_gaps, leave_gap, take_from_gaps
from sluice.edge.ledger.stored_records import HOUR, UNKNOWN, as_micros, as_moment
from sluice.edge.ledger.tallies import count_outcomes

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Partition and offset in one number: 2^19 partitions, 2^44 offsets.
_WIDTH = np.int64(1 << 44)
_GROUP = ["fleet_id", "hour", "contract", "schema_version"]


def cover(connection: Connection, consumer: str, records: pa.Table, outcome: str) -> int:
    """Cover records, and count and return those that were not covered yet. Needs an open transaction."""
    return sum(
        _Cover(connection, consumer, topic, outcome).add(records.filter(pc.equal(records["topic"], topic)))
        for topic in pc.unique(records["topic"]).to_pylist()
    )


class _Cover:
    """One topic's records of one file, for one consumer."""

    def __init__(self, connection: Connection, consumer: str, topic: str, outcome: str) -> None:
        self._connection = connection
        self._consumer = consumer
        self._topic = topic
        self._outcome = outcome

    def add(self, records: pa.Table) -> int:
        partitions, offsets = (_numbers(records, name) for name in ("partition", "offset"))
        # Each offset once, in order; a file may contain a record twice.
        _, order = np.unique(partitions * _WIDTH + offsets, return_index=True)
        records = records.take(order)
        partitions, offsets = partitions[order], offsets[order]
        received = _numbers(records, "received")
        parts = {
            (self._topic, int(partitions[start])): slice(start, end) for start, end in _runs(np.diff(partitions) != 0)
        }
        places = {place: (int(offsets[part][0]), int(offsets[part][-1])) for place, part in parts.items()}
        new, again = np.ones(len(offsets), dtype=np.bool_), np.zeros(len(offsets), dtype=np.bool_)
        before = 0
        for place, held in lock_places(self._connection, self._consumer, places).items():
            part = parts[place]
            known, begun_at = self._compare(place, held, offsets[part], received[part])
            again[part] = known
            if begun_at is not None:
                # The database's name for the topic that it puts aside.
                name = f"{self._topic}@{write_time(begun_at)}"
                older = self._find_older((name, place[1]), begun_at, offsets[part], received[part])
                if older.any():
                    aside = _Cover(self._connection, self._consumer, name, self._outcome)
                    before += aside.add(records.slice(part.start, part.stop - part.start).filter(pa.array(older)))
                known |= older
            new[part] = ~known
        fresh = records.filter(pa.array(new))
        self._count(fresh)
        if self._outcome == DEAD_LETTERED:
            # No letter of archive shows whether its row may still come: any may.
            self._leave_gaps(fresh if self._consumer == ARCHIVE.name else fresh.filter(fresh["given_up"]))
            if self._consumer == AGGREGATE.name:
                self._note(fresh.filter(pc.invert(fresh["given_up"])))
        elif again.any():
            self._recover(records.filter(pa.array(again)))
        self._extend({place: (offsets[part][new[part]], received[part][new[part]]) for place, part in parts.items()})
        return before + int(new.sum())

    def _compare(
        self, place: Partition, held: Held, offsets: Numbers, received: Numbers
    ) -> tuple[Flags, datetime | None]:
        """Return which records are covered, and since when the current topic exists; it may have been recreated."""
        known = np.zeros(len(offsets), dtype=np.bool_)
        for start, end in held.covered:
            known[np.searchsorted(offsets, start) : np.searchsorted(offsets, end)] = True
        if held.received_until is not None:
            later = known & (received > as_micros(held.received_until))
            if later.any():
                begun_at = as_moment(int(received[later].min()))
                begin_anew(self._connection, self._consumer, place, begun_at)
                return np.zeros(len(offsets), dtype=np.bool_), begun_at
        return known, held.begun_at

    def _find_older(self, aside: Partition, begun_at: datetime, offsets: Numbers, received: Numbers) -> Flags:
        """Return a flag for each record: whether it belongs to the old topic, whose coverage was set aside.

        Files arrive in any order. A record received after the old topic's last known record, and before the record that
        revealed the new topic, may belong to either. The old topic can only have continued after its end. The new topic
        had not reached that end, because the record that revealed it has a lower offset.
        """
        older: Flags = (received < as_micros(begun_at)) & (received != UNKNOWN)
        if older.any():
            held = lock_places(self._connection, self._consumer, {aside: (int(offsets[0]), int(offsets[-1]))})[aside]
            if held.received_until is not None:
                older &= (received <= as_micros(held.received_until)) | (offsets >= held.end)
        return older

    def _recover(self, again: pa.Table) -> None:
        """Count rows of records whose dead letters are counted: each leaves its gap, and is archived instead."""
        partitions, offsets = (_numbers(again, name) for name in ("partition", "offset"))
        lacked = np.zeros(len(offsets), dtype=np.bool_)
        for partition, start, end in find_gaps(self._connection, self._consumer, self._topic):
            lacked |= (partitions == partition) & (offsets >= start) & (offsets < end)
        if not lacked.any():
            return
        places = zip(partitions[lacked].tolist(), offsets[lacked].tolist(), strict=True)
        origins = {Origin(self._topic, partition, offset) for partition, offset in places}
        take_from_gaps(self._connection, self._consumer, origins)
        recovered = again.filter(pa.array(lacked))
        self._count(recovered)
        self._count(recovered, DEAD_LETTERED, -1)

    def _count(self, records: pa.Table, outcome: str | None = None, times: int = 1) -> None:
        counts = records.group_by(_GROUP, use_threads=False).aggregate([([], "count_all")])
        columns = (counts[name].to_pylist() for name in (*_GROUP, "count_all"))
        outcomes = Counter(
            {
                (LedgerGroup(fleet_id, as_moment(hour), contract, version), outcome or self._outcome): times * count
                for fleet_id, hour, contract, version, count in zip(*columns, strict=True)
            }
        )
        count_outcomes(self._connection, self._consumer, outcomes)

    def _note(self, unreadable: pa.Table) -> None:
        """Note records that are in no gap: a replay by a later release may count them."""
        groups = {
            Origin(self._topic, row["partition"], row["offset"]): LedgerGroup(
                row["fleet_id"], as_moment(row["hour"]), row["contract"], row["schema_version"]
            )
            for row in unreadable.to_pylist()
        }
        note_dead_lettered(self._connection, self._consumer, groups)

    def _leave_gaps(self, given_up: pa.Table) -> None:
        """Record gaps in the windows that lack given-up records; recovering the records removes the gaps."""
        partitions, offsets = (_numbers(given_up, name) for name in ("partition", "offset"))
        hours, received = (_numbers(given_up, name) for name in ("hour", "received"))
        # If a record does not say when it was received, the hour in which it was given up is used.
        since = np.where(received == UNKNOWN, hours, received)
        until = np.where(received == UNKNOWN, hours + HOUR, received)
        for start, end in _runs((np.diff(partitions) != 0) | (np.diff(offsets) != 1)) if len(offsets) else ():
            part = slice(start, end)
            span = Int8Range(int(offsets[start]), int(offsets[end - 1]) + 1)
            moments = (as_moment(int(since[part].min())), as_moment(int(until[part].max())))
            place = (self._topic, int(partitions[start]))
            leave_gap(self._connection, self._consumer, place, span, *moments)

    def _extend(self, more: Mapping[Partition, tuple[Numbers, Numbers]]) -> None:
        some = {place: columns for place, columns in more.items() if len(columns[0])}
        spans = {place: list(_spans(offsets)) for place, (offsets, _) in some.items()}
        latest = {place: int(received.max()) for place, (_, received) in some.items()}
        until = {place: as_moment(moment) for place, moment in latest.items() if moment != UNKNOWN}
        if some:
            extend_coverage(self._connection, self._consumer, spans, until)


def _numbers(records: pa.Table, name: str) -> Numbers:
    column: Numbers = records[name].to_numpy()
    return column


def _runs(breaks: Flags) -> Iterable[tuple[int, int]]:
    """Cut a sorted column at its breaks."""
    ends = [*(np.flatnonzero(breaks) + 1).tolist(), len(breaks) + 1]
    return zip([0, *ends[:-1]], ends, strict=True)


def _spans(offsets: Numbers) -> Iterable[Span]:
    for start, end in _runs(np.diff(offsets) != 1):
        yield int(offsets[start]), int(offsets[end - 1]) + 1
