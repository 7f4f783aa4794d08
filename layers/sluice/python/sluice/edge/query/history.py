"""Answering for a range, page by page: from the database, or from files for older rows."""

from collections.abc import Sequence
from typing import Any

from sluice.core.query.completeness import Knowledge, describe
from sluice.core.query.merging import gather_device_rows, merge_device_rows
from sluice.core.query.paging import Page, cut_page, split_page
from sluice.core.query.questions import Rollups
from sluice.core.query.rollup_rows import RollupRow, gather_windows, list_items, write_seconds
from sluice.core.rollups.resolutions import WIDTHS, choose_resolution
from sluice.core.times import write_optional
from sluice.edge.query.entities import Entities, Entity
from sluice.edge.query.rollup_archive import RollupArchive
from sluice.edge.query.rollups import RollupReader


class Historian:
    """Reads ranges of rollups."""

    def __init__(self, entities: Entities, rollups: RollupReader, archive: RollupArchive) -> None:
        self._entities = entities
        self._rollups = rollups
        self._archive = archive

    def read(self, asked: Rollups, members: Sequence[str]) -> dict[str, Any]:
        """Read the next page for a device, a fleet or the members of a group."""
        kept_from = self._rollups.kept_from()
        size = max(1, len(members))
        span = asked.span or asked.spanned(
            asked.resolution or choose_resolution(asked.start, asked.end, kept_from, size)
        )
        series = len(asked.metrics) or len(self._entities.book(set()))
        page = cut_page(span, asked.limit, series, size, kept_from[span.resolution])
        found = self._entities.find(asked.subject, members)
        moved = page.start < kept_from[span.resolution]
        if moved:
            page = self._archive.shorten(page, series, size, merging=asked.subject.group_id is not None)
        # Read before the rows: windows that close in between are not called complete yet.
        known = self._rollups.know(page, found, kept_from[span.resolution])
        if moved:
            known = known._replace(kept_from=self._archive.kept_from(span.resolution))
            page, windows = self._recall(asked, page, found)
        else:
            windows = self._read(asked, page, found, known)
        book = self._entities.book({key for window in windows for key in window.metric_keys})
        return {
            "resolution": span.resolution,
            "from": write_seconds(span.start),
            "to": write_seconds(span.end),
            "complete_until": write_optional(known.complete_until),
            "states": describe(page.start, page.end, WIDTHS[span.resolution], known),
            "items": list_items(windows, book, asked.metrics, asked.subject.device_id),
            "next_cursor": asked.goes_on(span, page.end),
        }

    def _recall(self, asked: Rollups, page: Page, found: Sequence[Entity]) -> tuple[Page, list[RollupRow]]:
        if not found:
            return page, []
        book = self._entities.book(set())
        devices = tuple(entity.device_id for entity in found if entity.device_id is not None)
        merging = asked.subject.group_id is not None
        page, rows = self._archive.read(page, asked.subject.fleet_id, devices, asked.metrics, merging=merging)
        return page, merge_device_rows(gather_device_rows(rows, book), book) if merging else gather_windows(rows, book)

    def _read(self, asked: Rollups, page: Page, found: Sequence[Entity], known: Knowledge) -> list[RollupRow]:
        if asked.subject.group_id is not None:
            rows = self._rollups.read_group(page.resolution, found, page.start, page.end)
            return merge_device_rows(rows, self._entities.book({key for row in rows for key in row.metric_keys}))
        windows: list[RollupRow] = []
        for entity in found:
            for closed, start, end in split_page(page, known.complete_until):
                if closed or page.resolution != "1m" or entity.device_id is None:
                    windows += self._rollups.read(page.resolution, entity, start, end)
                else:
                    windows += self._rollups.read_open(entity, start, end)
        return windows
