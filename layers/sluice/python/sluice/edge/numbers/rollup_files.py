"""Files of rollups: written from tables at a bounded size, staged outside the queried prefix, read back, and only then
published.

Nothing is deleted here: the bucket's lifecycle expires staged and old files.
"""

import hashlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.core.numbers.tiers import STAGING, File, Totals, Unverified, add_up
from sluice.edge.bucket import Bucket
from sluice.edge.numbers.rollup_tables import SCHEMA, total

MAX_PART = 64 * 1024 * 1024


class Part(msgspec.Struct, frozen=True):
    """One file's bytes, and its first and last fleet and device."""

    data: bytes
    rows: int
    first: tuple[str, str]
    last: tuple[str, str]
    digest: str


class PartWriter:
    """Fills files with sorted tables; each table becomes a row group that can be read alone."""

    def __init__(self, max_part: int = MAX_PART) -> None:
        self._max_part = max_part
        self._sink = BytesIO()
        self._writer: Any = None
        self._rows = 0
        self._written = False
        self._first: tuple[str, str] | None = None
        self._last: tuple[str, str] = ("", "")

    def add(self, table: pa.Table) -> Iterator[Part]:
        """Write a table; yield the file once it is large enough."""
        if self._writer is None:
            self._open()
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._rows += table.num_rows
        self._first = self._first or _entity(table, 0)
        self._last = _entity(table, table.num_rows - 1)
        if self._sink.tell() >= self._max_part:
            yield self._close()

    def finish(self) -> Iterator[Part]:
        """Yield the last file; without rows it is empty, which records that no rows existed."""
        if self._writer is None and not self._written:
            self._open()
        if self._writer is not None:
            yield self._close()

    def _open(self) -> None:
        # Snappy: the library in the managed layer supports few other codecs.
        self._writer = pq.ParquetWriter(self._sink, SCHEMA, compression="snappy", version="2.6")

    def _close(self) -> Part:
        self._writer.close()
        data = self._sink.getvalue()
        part = Part(data, self._rows, self._first or ("", ""), self._last, digest(data))
        self._sink, self._writer, self._rows, self._first, self._written = BytesIO(), None, 0, None, True
        return part


class RollupFiles:
    """The bucket of rollups."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._bucket = Bucket(s3, bucket)

    def stage(self, name: str, data: bytes) -> None:
        """Write a file to where it can be verified and no query finds it yet."""
        self._bucket.put(STAGING + name, data)

    def read_staged(self, file: File) -> bytes:
        """Read a staged file back; the bytes must equal those sent."""
        data = self._bucket.get(STAGING + file.object)
        if digest(data) != file.digest:
            raise Unverified(f"{file.object} was stored as other bytes than were sent")
        return data

    def publish(self, file: File) -> None:
        """Copy a verified file to where queries find it, unless it exists there."""
        published = self._bucket.find_metadata(file.object)
        if published is None or published.get("sha256") != file.digest:
            self._bucket.copy(STAGING + file.object, file.object, {"sha256": file.digest})

    def list_day(self, files: list[File]) -> None:
        """Write a day's manifest: the database's list of files, readable from the bucket as well."""
        # Outside the prefix that queries read.
        name = f"manifests/resolution={files[0].resolution}/dt={files[0].window_from:%Y-%m-%d}.json"
        self._bucket.put(name, msgspec.json.encode(files), "application/json")


def digest(data: bytes) -> str:
    """Return the digest that a file's name and the list of files contain."""
    return hashlib.sha256(data).hexdigest()


def total_part(data: bytes) -> dict[str, Totals]:
    """Add up a file's rows as they are read back."""
    file = pq.ParquetFile(BytesIO(data))
    return add_up(total(file.read_row_group(group)) for group in range(file.num_row_groups))


def _entity(table: pa.Table, row: int) -> tuple[str, str]:
    return table["fleet_id"][row].as_py(), table["device_id"][row].as_py() or ""
