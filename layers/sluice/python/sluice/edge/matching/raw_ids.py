"""The ids of raw files, as hashes; and single rows of raw files, as the records that they were made of."""

from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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


class Gathering:
    """Gathers the ids of raw files, one after another."""

    def __init__(self) -> None:
        self._files: list[tuple[str, int]] = []
        self._rows: list[Rows] = []
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
            self._rows.append(msgspec.structs.replace(rows, places=rows.places + np.uint32(self._count)))
            self._count += len(rows.fleets)
        self._files.append((name, self._count - start))

    def end(self) -> Batch:
        """Return what was gathered, in the order of its hashes."""
        nothing = np.zeros(0, dtype=np.uint32)
        none = Rows(nothing, np.zeros(0, dtype=np.uint64), nothing, nothing)
        rows = [*self._rows, none]
        self._rows = []
        fleets, hashes, bodies, places = (
            np.concatenate([getattr(each, name) for each in rows]) for name in Rows.__struct_fields__
        )
        return Batch(sort_ids(hashes, bodies, places), fleets, tuple(self._files))

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


def read_records(file: Any, rows: Collection[int]) -> dict[int, KafkaRecord]:
    """Read some rows of a file as the records that they were made of."""
    parquet = pq.ParquetFile(file, pre_buffer=True)
    columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
    found: dict[int, KafkaRecord] = {}
    wanted, start = sorted(rows), 0
    for batch in parquet.iter_batches(ROWS, columns=columns, use_threads=False):
        here = [row for row in wanted if start <= row < start + batch.num_rows]
        if here:
            table = in_micros(pa.table(batch).take(pa.array([row - start for row in here], pa.int64())))
            found |= dict(zip(here, _make_records(table.to_pylist()), strict=True))
        start += batch.num_rows
    return found


def _make_records(rows: Iterable[dict[str, Any]]) -> Iterator[KafkaRecord]:
    for row in rows:
        origin = Origin(RAW_EVENTS, row["kafka_partition"], row["kafka_offset"])
        yield KafkaRecord(origin, row["event"].encode(), {HEADER: write_envelope(envelope_of(row))})
