"""Reading rollups that were moved to files, through recall."""

from datetime import UTC, datetime

from sluice.core.errors import Refusal, Retryable
from sluice.core.query.paging import Page
from sluice.core.rollup_archive.recall import ArchivedRow, RecallAnswer, RecallQuestion
from sluice.core.rollups.resolutions import Resolution
from sluice.edge.correlation import current_id
from sluice.edge.invoked import InvokedFunction
from sluice.edge.query.reading import Reader

MOST_ROWS = 20_000
MOST_MERGED_ROWS = 5_000
"""The most rows of a group: with their digests, rows are several times as long."""

_KEPT = """
    SELECT json_build_array(floor(extract(epoch FROM min(window_from)))::bigint) FROM tiered WHERE resolution = $1
"""

_OBJECTS = """
    SELECT coalesce(json_agg(object ORDER BY object), '[]') FROM tiered
    WHERE resolution = $1 AND window_from < to_timestamp($3::bigint) AND window_to > to_timestamp($2::bigint)
    AND (first_fleet_id, first_device_id) <= ($4, $6) AND (last_fleet_id, last_device_id) >= ($4, $5)
"""


class RollupArchive:
    """Reads windows from files."""

    def __init__(self, reader: Reader, function: InvokedFunction) -> None:
        self._reader = reader
        self._function = function

    def kept_from(self, resolution: Resolution) -> datetime:
        """Return from when on files exist; every row since then is in a file, or never existed."""
        (found,) = self._reader.read(tuple[int | None], _KEPT, resolution)
        return datetime.max.replace(tzinfo=UTC) if found is None else datetime.fromtimestamp(found, UTC)

    def shorten(self, page: Page, series: int, members: int, *, merging: bool) -> Page:
        """Shorten a page to what one answer of recall can carry."""
        return page.shortened((MOST_MERGED_ROWS if merging else MOST_ROWS) // max(1, series * members))

    def read(
        self, page: Page, fleet_id: str, devices: tuple[str, ...], metrics: tuple[str, ...], *, merging: bool
    ) -> tuple[Page, tuple[ArchivedRow, ...]]:
        """Read the page, or its first part if the answer is too large; no devices means the fleet's own rows."""
        if page.resolution == "1d":
            return page, ()
        while True:
            objects = self._find(page, fleet_id, devices or ("",))
            if not objects:
                return page, ()
            question = RecallQuestion(
                page.resolution,
                fleet_id,
                devices or None,
                metrics,
                page.start,
                page.end,
                objects,
                digests=merging,
                correlation_id=current_id(),
            )
            try:
                answer = self._function.ask(question, RecallAnswer)
            except Retryable:
                # A replay may have replaced a file meanwhile.
                if self._find(page, fleet_id, devices or ("",)) == objects:
                    raise
                continue
            if answer.too_much is None:
                return page, answer.rows
            if page.windows() == 1:
                raise Refusal(400, "range_too_large", answer.too_much)
            page = page.shortened(page.windows() // 2)

    def _find(self, page: Page, fleet_id: str, devices: tuple[str, ...]) -> tuple[str, ...]:
        # In the order of the files: by the bytes of the names.
        named = sorted(devices, key=str.encode)
        start, end = (str(int(moment.timestamp())) for moment in (page.start, page.end))
        return self._reader.read(tuple[str, ...], _OBJECTS, page.resolution, start, end, fleet_id, named[0], named[-1])
