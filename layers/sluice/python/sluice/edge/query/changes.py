"""Reading what was rolled, so that nothing is missed and nothing is told twice.

Transactions are committed in another order than they began in. What is told is older than every transaction still
open, so that nothing can come to lie before it later.
"""

from datetime import datetime
from typing import Literal

import msgspec

from sluice.core.query.questions import ChangePlace, Changes, refuse_expired
from sluice.edge.query.reading import Reader

_SETTLED = """
    SELECT json_build_array(
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    )
"""

_CHANGES = """
    SELECT coalesce(json_agg(json_build_object(
        'transaction_id', transaction_id::text::bigint, 'change_id', change_id,
        'of', CASE WHEN page.entity_key IS NULL THEN 'devices' WHEN device_id IS NULL THEN 'fleet' ELSE 'device' END,
        'device_id', device_id, 'resolution', resolution,
        'window_start', write_time(window_start), 'changed_at', write_time(changed_at)
    ) ORDER BY transaction_id, change_id), '[]')
    FROM (
        SELECT * FROM change
        WHERE fleet_id = $1
        AND (transaction_id, change_id) > ($2::text::xid8, $3::bigint)
        AND transaction_id < $4::text::xid8
        ORDER BY transaction_id, change_id
        LIMIT $5::int
    ) AS page
    LEFT JOIN entity USING (entity_key)
"""


class Change(msgspec.Struct, frozen=True):
    """Windows that were rolled: a device's, the fleet's own, or those of many devices of the fleet."""

    of: Literal["device", "devices", "fleet"]
    device_id: str | None
    resolution: str
    window_start: str
    changed_at: str


class _Found(Change, frozen=True):
    transaction_id: int
    change_id: int


class ChangeReader:
    """Reads the feed of a fleet."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def read(self, asked: Changes, now: datetime) -> tuple[list[Change], ChangePlace]:
        """Read what follows the reader's place, and say where to go on."""
        # Read before the rows: what is committed in between is told the next time.
        settled, begun = self._reader.read(tuple[int, int], _SETTLED)
        here = ChangePlace(settled, 0, int(now.timestamp()))
        if asked.after is None:
            return [], here
        if asked.after.transaction_id > begun:
            # Numbers of a database that is no longer this one.
            raise refuse_expired()
        found = self._reader.read(
            list[_Found],
            _CHANGES,
            asked.fleet_id,
            str(asked.after.transaction_id),
            str(asked.after.change_id),
            str(settled),
            str(asked.limit),
        )
        told: list[Change] = [
            Change(one.of, one.device_id, one.resolution, one.window_start, one.changed_at) for one in found
        ]
        if len(found) < asked.limit:
            return told, here
        # More may follow, and the reader's clock stands still until they are told.
        return told, ChangePlace(found[-1].transaction_id, found[-1].change_id, asked.after.told_at)
