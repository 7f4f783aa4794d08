"""Reading the feed of rolled windows: no change is missed, and none is sent twice.

Transactions commit in another order than they begin. The feed contains only changes older than every open transaction,
so that no change can appear before them later.
"""

from datetime import datetime
from typing import Any

from sluice.core.query.questions import ChangePlace, Changes, refuse_expired
from sluice.edge.query.reading import Reader

_SETTLED = """
    SELECT json_build_array(
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    )
"""

# The answer passes on `of` as written here: a device, the fleet itself, or many devices.
_CHANGES = """
    SELECT coalesce(json_agg(json_build_array(transaction_id::text::bigint, change_id, json_build_object(
        'of', CASE WHEN page.entity_key IS NULL THEN 'devices' WHEN device_id IS NULL THEN 'fleet' ELSE 'device' END,
        'device_id', device_id, 'resolution', resolution,
        'window_start', write_time(window_start), 'changed_at', write_time(changed_at)
    )) ORDER BY transaction_id, change_id), '[]')
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


def find_changes(reader: Reader, asked: Changes, now: datetime) -> tuple[list[dict[str, Any]], ChangePlace]:
    """Find the changes after the reader's place in a fleet's feed, and return the next place."""
    # Read before the rows: changes committed in between are sent the next time.
    settled, begun = reader.read(tuple[int, int], _SETTLED)
    here = ChangePlace(settled, 0, int(now.timestamp()))
    if asked.after is None:
        return [], here
    if asked.after.transaction_id > begun:
        # The cursor's numbers belong to another database.
        raise refuse_expired()
    found = reader.read(
        list[tuple[int, int, dict[str, Any]]],
        _CHANGES,
        asked.fleet_id,
        str(asked.after.transaction_id),
        str(asked.after.change_id),
        str(settled),
        str(asked.limit),
    )
    told = [change for _, _, change in found]
    if len(found) < asked.limit:
        return told, here
    # More may follow: the reader's time does not advance until they are sent.
    transaction_id, change_id, _ = found[-1]
    return told, ChangePlace(transaction_id, change_id, asked.after.told_at)
