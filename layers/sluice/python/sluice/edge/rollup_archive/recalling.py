"""Reading a few rows of files: first each file's footer with its table of contents, then the wanted parts."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.core.rollup_archive.recall import MAX_ROWS, ArchivedRow, RecallAnswer, RecallQuestion, answer_rows, refuse
from sluice.edge.bucket import Bucket, StoredFile

# A recall mostly waits for S3, so it reads files in parallel.
READERS = 16

_NUMBERS = ("window_start", "device_id", "metric", "unit", "count", "avg", "min", "max", "p50", "p95", "sum", "m2")
_DIGEST = ("bins", "bin_counts")


class Recaller:
    """Answers questions from the files of a bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._bucket = Bucket(s3, bucket)

    def recall(self, question: RecallQuestion) -> RecallAnswer:
        """Answer with the wanted rows in time order; refuse more rows than one answer can carry."""
        rows: list[ArchivedRow] = []
        with ThreadPoolExecutor(READERS) as readers:
            for table in readers.map(lambda name: self._read(name, question), question.objects):
                rows += make_rows(table)
                if len(rows) > MAX_ROWS:
                    readers.shutdown(wait=False, cancel_futures=True)
                    return refuse(f"the answer has more than {MAX_ROWS} rows")
        return answer_rows(rows)

    def read_tables(self, question: RecallQuestion) -> Iterator[pa.Table]:
        """Yield the wanted rows of each part of the files, for who has a use for more than one answer carries."""
        with ThreadPoolExecutor(READERS) as readers:
            for parts in readers.map(lambda name: list(self._read_parts(name, question)), question.objects):
                yield from parts

    def _read(self, name: str, question: RecallQuestion) -> pa.Table:
        file = self._open(name)
        groups = list(wanted_groups(file.metadata, question))
        return pick(file.read_row_groups(groups, columns=_columns(question), use_threads=False), question)

    def _read_parts(self, name: str, question: RecallQuestion) -> Iterator[pa.Table]:
        # Part by part: many devices may lie in every part, and a file as a whole takes hundreds of megabytes.
        file = self._open(name)
        for group in wanted_groups(file.metadata, question):
            yield pick(file.read_row_group(group, columns=_columns(question), use_threads=False), question)

    def _open(self, name: str) -> pq.ParquetFile:
        # The wanted columns of a part are adjacent: fetched in one piece instead of column by column.
        return pq.ParquetFile(StoredFile(self._bucket, name), pre_buffer=True)


def wanted_groups(metadata: Any, question: RecallQuestion) -> Iterator[int]:
    """Choose the parts of a file that may hold wanted rows, by their first and last names."""
    places = {metadata.schema.column(place).name: place for place in range(metadata.num_columns)}
    devices = None if question.device_ids is None else sorted(question.device_ids, key=str.encode)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        fleets = group.column(places["fleet_id"]).statistics
        if not _may_hold(fleets, [question.fleet_id]):
            continue
        within = group.column(places["device_id"]).statistics
        if devices is None and within is not None and within.has_null_count and not within.null_count:
            continue
        if devices is None or _may_hold(within, devices):
            yield number


def pick(table: pa.Table, question: RecallQuestion) -> pa.Table:
    """Keep the wanted rows."""
    start, end = (_naive(moment) for moment in (question.window_from, question.window_to))
    who = (
        pc.is_null(table["device_id"])
        if question.device_ids is None
        else pc.is_in(table["device_id"], pa.array(question.device_ids, pa.string()))
    )
    wanted = pc.and_(pc.equal(table["fleet_id"], question.fleet_id), who)
    wanted = pc.and_(wanted, pc.greater_equal(table["window_start"], start))
    wanted = pc.and_(wanted, pc.less(table["window_start"], end))
    if question.metrics:
        wanted = pc.and_(wanted, pc.is_in(table["metric"], pa.array(question.metrics, pa.string())))
    return table.filter(wanted).drop_columns(["fleet_id"])


def make_rows(table: pa.Table) -> Iterable[ArchivedRow]:
    """Make rows from a table."""
    columns = table.to_pydict()
    digests = zip(columns["bins"], columns["bin_counts"], strict=True) if "bins" in columns else None
    for moment, *values in zip(*(columns[name] for name in _NUMBERS), strict=True):
        digest = next(digests) if digests is not None else ((), ())
        yield ArchivedRow(moment.replace(tzinfo=UTC), *values, *map(tuple, digest))


def _columns(question: RecallQuestion) -> list[str]:
    return [*_NUMBERS, *(_DIGEST if question.digests else ()), "fleet_id"]


def _may_hold(statistics: Any, names: list[str]) -> bool:
    """Return whether a column may contain one of some sorted names; without statistics it may."""
    if statistics is None or not statistics.has_min_max:
        return statistics is None or statistics.num_values > 0
    place = bisect_left([name.encode() for name in names], statistics.min.encode())
    return place < len(names) and names[place].encode() <= statistics.max.encode()


def _naive(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment.astimezone(UTC).replace(tzinfo=None), pa.timestamp("ms"))
