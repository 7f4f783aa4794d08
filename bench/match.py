"""`make bench`, the part of match: CPU nanoseconds per id, and memory, of finding recurring ids among synthetic ones.

The bucket is a folder: what S3 adds is the time of transfer, 16 bytes for each new id and 8 for each earlier one.
"""

import argparse
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.report import Report
from sluice.core.matching.ids import find_differing, find_repeated, find_shared
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.matching.id_store import IdStore
from sluice.edge.matching.raw_ids import Batch, Gathering

HOURS = 26
FILE = 200_000
"""How many rows a raw file has: 128 MB of rows of 630 bytes, as Firehose buffers them."""
EVENT_BYTES = 247


class Folder:
    """A folder, as a bucket answers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""
        self._file(name).write_bytes(data)

    def get_range(self, name: str, wanted: str) -> tuple[bytes, int]:
        """Read a range of a file."""
        first, _, last = wanted.partition("-")
        size = self._file(name).stat().st_size
        with self._file(name).open("rb") as file:
            file.seek(int(first) if first else max(0, size - int(last)))
            return file.read(int(last) - int(first) + 1 if first else int(last)), size

    def _file(self, name: str) -> Path:
        return self._path / name.replace("/", "-")


@contextmanager
def timed(found: list[float]) -> Iterator[None]:
    """Add the CPU time of a block."""
    began = time.process_time()
    yield
    found.append(time.process_time() - began)


def write_raw(folder: Folder, name: str, rows: int) -> None:
    """Write a raw file of some devices' events, each with an id of its own."""
    padding = "x" * EVENT_BYTES
    ids = [str(uuid.uuid4()) for _ in range(rows)]
    table = pa.table(
        {
            "fleet_id": [f"fleet-{row % 20}" for row in range(rows)],
            "device_id": [f"press-{row % 50_000:05d}" for row in range(rows)],
            "event_id": ids,
            "event": [(f'{{"event_id": "{one}", "' + padding)[:EVENT_BYTES] for one in ids],
        }
    )
    written = pa.BufferOutputStream()
    pq.write_table(table, written, compression="snappy")
    folder.put(name, written.getvalue().to_pybytes())


def gather(folder: Folder, ids: int) -> Batch:
    """Gather so many ids from copies of one file: what it costs does not depend on their values."""
    gathering = Gathering(ids)
    for _ in range(ids // FILE):
        gathering.add("raw", StoredFile(cast("Bucket", folder), "raw"))
    return gathering.end()


def draw(batch: Batch, seed: int) -> Any:
    """The ids of another hour: as many others, and a thousand of the same with other bytes."""
    draws = np.random.default_rng(seed)
    hashes = draws.integers(0, 2**64, len(batch.ids.hashes), dtype=np.uint64)
    hashes[:1000] = batch.ids.hashes[:: len(hashes) // 1000][:1000]
    hashes.sort()
    return type(batch.ids)(hashes, batch.ids.bodies[::-1].copy(), batch.ids.rows)


def compare(batch: Batch, store: IdStore, parts: list[str]) -> int:
    """Compare a batch with all parts, as a run does."""
    found = len(find_repeated(batch.ids))
    for part in parts:
        for group in store.read(part):
            old = group.read_hashes()
            shared = find_shared(batch.ids.hashes, old)
            if len(shared):
                found += len(find_differing(batch.ids, old[shared], group.read_bodies()[shared]))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    ids = 400_000 if parser.parse_args().small else 3_600_000
    reading: list[float] = []
    writing: list[float] = []
    comparing: list[float] = []
    with TemporaryDirectory() as place:
        folder = Folder(Path(place))
        store = IdStore(cast("Bucket", folder))
        write_raw(folder, "raw", FILE)
        with timed(reading):
            batch = gather(folder, ids)
        earlier = [store.write(draw(batch, hour), (("raw", ids), (str(hour), 0))) for hour in range(HOURS)]
        with timed(writing):
            store.write(batch.ids, batch.files)
        with timed(comparing):
            found = compare(batch, store, earlier)
    if found < 900 * HOURS:
        sys.exit(f"{found} recurring ids were found, of about {1000 * HOURS}")
    report = Report("match", 9)
    report.table(f"match, CPU ns per id, of {ids:,} in an hour")
    report.line("  read, hash and sort the new ids", [sum(reading) / ids * 1e9], ".0f")
    report.line("  store them", [sum(writing) / ids * 1e9], ".0f")
    report.line(f"  compare with {HOURS} hours, for each new id", [sum(comparing) / ids * 1e9], ".0f")
    report.table("match, memory")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.line("  MiB at most, of the whole process", [peak], ".0f", timed=0)
    report.end()


if __name__ == "__main__":
    main()
