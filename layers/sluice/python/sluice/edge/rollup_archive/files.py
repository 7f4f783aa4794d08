"""Files of rollups: written from tables at a bounded size, staged outside the queried prefix, read back, and only then
published.

Staged and old files are expired by the bucket's lifecycle. Only a file that a replay has replaced is deleted;
its copy among the staged ones stays for their time.
"""

import hashlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.core.rollup_archive.files import STAGING, RollupFile, Totals, Unverified, add_up
from sluice.edge.bucket import Bucket
from sluice.edge.rollup_archive.tables import SCHEMA, total

MAX_FILE = 64 * 1024 * 1024


class WrittenFile(msgspec.Struct, frozen=True):
    """One file's bytes, and its first and last fleet and device."""

    data: bytes
    rows: int
    first: tuple[str, str]
    last: tuple[str, str]
    digest: str


def write_files(tables: Iterable[pa.Table], max_file: int = MAX_FILE) -> Iterator[WrittenFile]:
    """Fill files with sorted tables; each table becomes a row group that can be read alone.

    Without tables there is one file, which is empty: it records that no rows existed.
    """
    left = iter(tables)
    table = next(left, None)
    while True:
        sink, rows = BytesIO(), 0
        first = last = ("", "") if table is None else _entity(table, 0)
        # Snappy: the library in the managed layer supports few other codecs.
        with pq.ParquetWriter(sink, SCHEMA, compression="snappy", version="2.6") as writer:
            while table is not None and sink.tell() < max_file:
                writer.write_table(table, row_group_size=table.num_rows)
                rows += table.num_rows
                last = _entity(table, table.num_rows - 1)
                table = next(left, None)
        data = sink.getvalue()
        yield WrittenFile(data, rows, first, last, digest(data))
        if table is None:
            return


class RollupFiles:
    """The bucket of rollups."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._bucket = Bucket(s3, bucket)

    def stage(self, name: str, data: bytes) -> None:
        """Write a file to where it can be verified and no query finds it yet."""
        self._bucket.put(STAGING + name, data)

    def read_staged(self, file: RollupFile) -> bytes:
        """Read a staged file back; the bytes must equal those sent."""
        data = self._bucket.get(STAGING + file.object)
        if digest(data) != file.digest:
            raise Unverified(f"{file.object} was stored as other bytes than were sent")
        return data

    def publish(self, file: RollupFile) -> None:
        """Copy a verified file to where queries find it, unless it exists there."""
        published = self._bucket.find_metadata(file.object)
        if published is None or published.get("sha256") != file.digest:
            self._bucket.copy(STAGING + file.object, file.object, {"sha256": file.digest})

    def read(self, file: RollupFile) -> bytes:
        """Read a published file; its bytes must be those that were listed."""
        data = self._bucket.get(file.object)
        if digest(data) != file.digest:
            raise Unverified(f"{file.object} has other bytes than were listed")
        return data

    def remove(self, name: str) -> None:
        """Delete an object that is listed no more, if it exists.

        A copy stays where files are staged, for as long as those do: a restored database may list the object again.
        """
        metadata = self._bucket.find_metadata(name)
        if metadata is not None:
            self._bucket.copy(name, STAGING + name, metadata)
            self._bucket.delete(name)

    def list_day(self, files: list[RollupFile]) -> None:
        """Write a day's manifest: the database's list of files, readable from the bucket as well."""
        # Outside the prefix that queries read.
        name = f"manifests/resolution={files[0].resolution}/dt={files[0].window_from:%Y-%m-%d}.json"
        self._bucket.put(name, msgspec.json.encode(files), "application/json")


def digest(data: bytes) -> str:
    """Return the digest that a file's name and the list of files contain."""
    return hashlib.sha256(data).hexdigest()


def total_file(data: bytes) -> dict[str, Totals]:
    """Add up a file's rows as they are read back."""
    file = pq.ParquetFile(BytesIO(data))
    return add_up(total(file.read_row_group(group)) for group in range(file.num_row_groups))


def _entity(table: pa.Table, row: int) -> tuple[str, str]:
    return table["fleet_id"][row].as_py(), table["device_id"][row].as_py() or ""
