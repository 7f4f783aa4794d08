"""The ids of earlier files in the control bucket: a part for each batch, cut into slices of the range of hashes.

A slice is a Parquet file of three columns of numbers, in the order of the hashes. Only its hashes are read, unless some
of them recur.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.core.matching.ids import Hashes, Ids, Numbers, Places
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.matching.tables import IDS

SLICE = 4_000_000
"""How many ids an object has at most: 64 MB."""
GROUP = 1_000_000
"""How many ids are compared at a time."""

_FILES = b"files"
_Files = tuple[tuple[str, int], ...]
_decode = msgspec.json.Decoder(_Files).decode


class Group:
    """Some ids of a slice: the hashes, and what belongs to them when asked for."""

    def __init__(self, parquet: pq.ParquetFile, number: int, files: _Files) -> None:
        self._parquet = parquet
        self._number = number
        self.files = files
        """The files that its rows are in, and how many rows each has."""

    def read_hashes(self) -> Hashes:
        """Read the hashes, in their order."""
        hashes: Hashes = self._read("hash")
        return hashes

    def read_bodies(self) -> Numbers:
        """Read the bodies' hashes."""
        bodies: Numbers = self._read("body")
        return bodies

    def read_rows(self) -> Numbers:
        """Read where the events are."""
        rows: Numbers = self._read("row")
        return rows

    def _read(self, name: str) -> Any:
        return self._parquet.read_row_group(self._number, columns=[name], use_threads=False)[name].to_numpy()


class IdStore:
    """The parts."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def write(self, ids: Ids, files: _Files) -> str:
        """Store a batch's ids and return the part's name; the same files have the same one."""
        digest = hashlib.sha256(msgspec.json.encode(files)).hexdigest()[:32]
        starts = range(0, len(ids.hashes), SLICE)
        for number, start in enumerate(starts):
            self._bucket.put(_name(digest, number), _encode(ids.take(slice(start, start + SLICE)), files))
        return f"{digest}-{len(starts)}"

    def read(self, part: str) -> Iterator[Group]:
        """Read a part, some ids at a time."""
        digest, _, slices = part.rpartition("-")
        for number in range(int(slices)):
            parquet = pq.ParquetFile(StoredFile(self._bucket, _name(digest, number)))
            files = _decode(parquet.schema_arrow.metadata[_FILES])
            yield from (Group(parquet, group, files) for group in range(parquet.num_row_groups))


def locate(rows: Places | Numbers, files: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the file of each row, and its row there."""
    ends = np.cumsum([rows for _, rows in files])
    numbers = np.searchsorted(ends, rows, side="right")
    return [
        (files[number][0], int(row) - int(ends[number]) + files[number][1])
        for number, row in zip(numbers.tolist(), rows.tolist(), strict=True)
    ]


def _name(digest: str, number: int) -> str:
    return f"{IDS}{digest}/{number:03d}.parquet"


def _encode(ids: Ids, files: _Files) -> bytes:
    columns = {"hash": ids.hashes, "body": ids.bodies, "row": ids.rows}
    table = pa.table({name: pa.array(numbers) for name, numbers in columns.items()})
    written = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata({_FILES: msgspec.json.encode(files)}),
        written,
        row_group_size=GROUP,
        # Hashes do not compress.
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    return written.getvalue()
