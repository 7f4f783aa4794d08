"""Moving rollups from the database to files, so that at every moment each row is read from exactly one of the two.

each slice: copy -> stage -> read back and compare -> record; then: publish -> raise the floor; a run later: drop

If a run stops between two steps, the next one finishes its work: it first looks for finished steps.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import groupby
from typing import get_args

import msgspec

from sluice.core.rollup_archive.files import (
    RollupFile,
    StoreSpan,
    TieredResolution,
    add_up,
    compare,
    cut_slices,
    name_object,
)
from sluice.core.rollups.resolutions import WIDTHS
from sluice.edge.rollup_archive.database import TierDatabase
from sluice.edge.rollup_archive.files import MAX_FILE, RollupFiles, WrittenFile, total_file, write_files
from sluice.edge.rollup_archive.tables import read_copy

# As CSV. A row group is about a quarter of it, and is the unit that is read to find one device.
CHUNK = 8 * 1024 * 1024


class Plan(msgspec.Struct, frozen=True):
    """How long rollups stay in the database, and how much is moved at a time."""

    hot: dict[TieredResolution, timedelta]
    kept: timedelta
    slice_windows: int
    chunk: int = CHUNK
    max_file: int = MAX_FILE


class TierReport(msgspec.Struct):
    """The work of a run."""

    rows: int = 0
    partitions: int = 0
    behind: timedelta = timedelta(0)
    waits_for: dict[TieredResolution, str] = {}


class Tiering:
    """One run over both stores."""

    def __init__(self, database: TierDatabase, files: RollupFiles, plan: Plan) -> None:
        self._database = database
        self._files = files
        self._plan = plan

    def run(self, now: datetime, may_go_on: Callable[[], bool]) -> TierReport:
        """Move old rollups, slice by slice, as long as time is left."""
        report = TierReport()
        for resolution in get_args(TieredResolution):
            until = now - self._plan.hot[resolution]
            # An earlier run moved these rows: readers that use the old floor have finished long ago.
            while self._database.drop_partition(resolution):
                report.partitions += 1
            self._move_store(resolution, until, may_go_on, report)
            self._database.forget(resolution, now - self._plan.kept)
            left = self._database.partitions(resolution)
            if left:
                report.behind = max(report.behind, until - left[0].end)
        return report

    def _move_store(
        self, resolution: TieredResolution, until: datetime, may_go_on: Callable[[], bool], report: TierReport
    ) -> None:
        floor = self._database.floor(resolution)
        for partition in self._database.partitions(resolution):
            if partition.end > until:
                return
            if floor is not None and partition.end <= floor:
                continue
            reason = self._database.unsettled(resolution, partition.end)
            if reason is None and not self._move(partition, may_go_on, report):
                return
            reason = reason or self._database.raise_floor(resolution, partition.end)
            if reason is not None:
                report.waits_for[resolution] = reason
                return

    def _move(self, partition: StoreSpan, may_go_on: Callable[[], bool], report: TierReport) -> bool:
        """Move all rows of a partition; return False if time ran out."""
        files = self._database.recorded(partition)
        start = max((file.window_to for file in files), default=partition.start)
        length = self._plan.slice_windows * WIDTHS[partition.resolution]
        for part in cut_slices(partition.resolution, start, partition.end, length):
            if not may_go_on():
                return False
            moved = self._move_slice(part)
            report.rows += sum(file.row_count for file in moved)
            files += moved
        for file in files:
            self._files.publish(file)
        for _, day in groupby(files, key=lambda file: file.window_from.date()):
            self._files.list_day(list(day))
        return True

    def _move_slice(self, part: StoreSpan) -> list[RollupFile]:
        # Closed before the transaction ends: a running copy would block the end.
        with self._database.snapshot(), closing(self._write(part)) as parts:
            files = [self._stage(part, number, written) for number, written in enumerate(parts)]
            stored = self._database.totals(part)
        compare(stored, add_up(total_file(self._files.read_staged(file)) for file in files))
        self._database.record(files)
        return files

    def _write(self, part: StoreSpan) -> Generator[WrittenFile, None, None]:
        metrics = self._database.metrics()
        with closing(self._database.copy(part, self._plan.chunk)) as copied:
            yield from write_files((read_copy(lines, metrics) for lines in copied), self._plan.max_file)

    def _stage(self, part: StoreSpan, number: int, written: WrittenFile) -> RollupFile:
        name = name_object(part, number, written.digest)
        self._files.stage(name, written.data)
        width, start, end = part.resolution, part.start, part.end
        return RollupFile(width, start, end, name, written.rows, *written.first, *written.last, written.digest)
