"""The ids of raw files, as hashes; and single rows of raw files, as the records that they were made of."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.core.consumers import RAW_EVENTS
from sluice.core.events.envelope import HEADER, write_envelope
from sluice.core.matching.ids import Hashes, Ids, Numbers, sort_ids
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.replay.raw_files import COLUMNS, envelope_of, in_micros

ROWS = 50_000
"""How many rows are unpacked at a time."""

_ID = ("fleet_id", "device_id", "event_id")


class Batch(msgspec.Struct, frozen=True, eq=False):
    """The ids of some files."""

    ids: Ids
    fleets: Numbers
    """A number for each row's fleet."""
    files: tuple[tuple[str, int], ...]
    """The files, and how many rows each has."""


class Rows(msgspec.Struct, frozen=True, eq=False):
    """Some rows, as columns of numbers. Rows that are no events of raw-events have no hash."""

    fleets: Numbers
    hashes: Hashes
    bodies: Numbers
    places: Numbers
    """Which of the rows each hash is of."""


class Column:
    """Numbers that are added bit by bit to one array: the memory of small pieces would not come back."""

    def __init__(self, kind: type[np.unsignedinteger[Any]], expected: int) -> None:
        self._numbers: NDArray[Any] = np.empty(expected, dtype=kind)
        self._count = 0

    def add(self, numbers: NDArray[Any]) -> None:
        """Add numbers; more than expected cost a copy."""
        end = self._count + len(numbers)
        if end > len(self._numbers):
            more = np.empty(max(len(numbers), self._count // 2), dtype=self._numbers.dtype)
            self._numbers = np.concatenate([self._numbers[: self._count], more])
        self._numbers[self._count : end] = numbers
        self._count = end

    def take(self) -> NDArray[Any]:
        """Return the numbers, and keep none."""
        numbers, self._numbers, self._count = self._numbers[: self._count], self._numbers[:0].copy(), 0
        return numbers


class Gathering:
    """Gathers the ids of raw files, one after another."""

    def __init__(self, expected: int = 0) -> None:
        self._files: list[tuple[str, int]] = []
        self._fleets_of_rows = Column(np.uint32, expected)
        self._hashes = Column(np.uint64, expected)
        self._bodies = Column(np.uint32, expected)
        self._places = Column(np.uint32, expected)
        self._fleets: dict[str | None, int] = {}
        self._count = 0

    def add(self, name: str, file: Any) -> None:
        """Add the ids of a file, all of them or none."""
        parquet = pq.ParquetFile(file, pre_buffer=True)
        columns = [name for name in (*_ID, "kafka_topic", "event") if name in parquet.schema_arrow.names]
        batches = parquet.iter_batches(ROWS, columns=columns, use_threads=False)
        read = [self._read(pa.table(batch)) for batch in batches]
        start = self._count
        for rows in read:
            self._fleets_of_rows.add(rows.fleets)
            self._hashes.add(rows.hashes)
            self._bodies.add(rows.bodies)
            self._places.add(rows.places + np.uint32(self._count))
            self._count += len(rows.fleets)
        self._files.append((name, self._count - start))

    def end(self) -> Batch:
        """Return what was gathered, in the order of its hashes."""
        ids = sort_ids(self._hashes.take(), self._bodies.take(), self._places.take())
        return Batch(ids, self._fleets_of_rows.take(), tuple(self._files))

    def _read(self, table: pa.Table) -> Rows:
        named = table["fleet_id"].combine_chunks().dictionary_encode()
        numbers = [self._fleets.setdefault(fleet, len(self._fleets)) for fleet in named.dictionary.to_pylist()]
        of_nobody = self._fleets.setdefault(None, len(self._fleets))
        codes = pc.fill_null(named.indices, len(numbers)).to_numpy(zero_copy_only=False)
        usable = pc.is_valid(table["event"])
        for name in _ID:
            usable = pc.and_(usable, pc.is_valid(table[name]))
        if "kafka_topic" in table.column_names:
            usable = pc.and_(usable, pc.equal(pc.fill_null(table["kafka_topic"], RAW_EVENTS), RAW_EVENTS))
        places = np.flatnonzero(usable.to_numpy()).astype(np.uint32)
        kept = table if len(places) == table.num_rows else table.filter(usable)
        names = pc.binary_join_element_wise(*(kept[name] for name in _ID), "\0")
        return Rows(
            np.array([*numbers, of_nobody], dtype=np.uint32)[codes],
            np.frombuffer(b"".join([blake2b(one, digest_size=8).digest() for one in _bytes_of(names)]), dtype="<u8"),
            np.fromiter(map(crc32, _bytes_of(kept["event"])), dtype=np.uint32, count=kept.num_rows),
            places,
        )


def _bytes_of(column: pa.ChunkedArray) -> Iterator[memoryview]:
    """Yield each text's bytes without copying it: a batch has megabytes of them."""
    for chunk in pc.cast(column, pa.binary()).chunks:
        _, ends, data = chunk.buffers()
        places = np.frombuffer(ends, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        held = memoryview(data or b"")
        yield from (held[start:end] for start, end in pairwise(places.tolist()))


def read_rows(file: Any, rows: Collection[int]) -> dict[int, dict[str, Any]]:
    """Read some rows of a file: only the row groups that they are in, and nothing after the last one."""
    parquet = pq.ParquetFile(file, pre_buffer=True)
    columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for group in range(parquet.num_row_groups):
        end = start + parquet.metadata.row_group(group).num_rows
        if wanted := sorted(row for row in rows if start <= row < end):
            batches = parquet.iter_batches(ROWS, row_groups=[group], columns=columns, use_threads=False)
            found |= _take_rows(batches, wanted, start)
        start = end
    return found


def _take_rows(batches: Iterable[pa.RecordBatch], wanted: Sequence[int], start: int) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for batch in batches:
        here = [row for row in wanted if start <= row < start + batch.num_rows]
        if here:
            table = in_micros(pa.table(batch).take(pa.array([row - start for row in here], pa.int64())))
            found |= dict(zip(here, table.to_pylist(), strict=True))
        start += batch.num_rows
        if start > wanted[-1]:
            break
    return found


def make_record(row: dict[str, Any]) -> KafkaRecord:
    """Make the record again that a row was made of."""
    origin = Origin(RAW_EVENTS, row["kafka_partition"], row["kafka_offset"])
    return KafkaRecord(origin, row["event"].encode(), {HEADER: write_envelope(envelope_of(row))})
