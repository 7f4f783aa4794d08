"""Checking a swap from the stored numbers: every closed minute must hold the readings of its samples.

Of hours whose samples have expired, the stored minutes must hold what was noted when they were recomputed. Those in
files were read back and compared before the files were listed.

Days are merged from their hours. A check waits for those too, so that a reader finds no old day after the end; but not
for ever.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sluice.core.rollups.resolutions import WIDTHS, Resolution
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.tables import Replay, find_floor

# roll adds in another order than this check, which changes the last digits.
TOLERANCE = 1e-9

# Windows of the fleet that have ended and wait to be computed.
_WAITING = """
    SELECT count(*), count(*) FILTER (WHERE d.resolution = '1m')
    FROM dirty AS d
    JOIN shard USING (shard)
    JOIN entity AS e ON e.entity_key = d.entity_key
    WHERE (%(fleet)s::text IS NULL OR e.fleet_id = %(fleet)s) AND d.resolution IN ('1m', '1h')
        AND d.window_start >= %(since)s AND d.window_start < %(until)s
        AND d.window_start + CASE d.resolution WHEN '1m' THEN interval '1 minute' ELSE interval '1 hour' END
            <= shard.closed_until
"""

# Days that have ended, and were marked before all hours were computed. Later marks are of events that came meanwhile.
_WAITING_DAYS = """
    SELECT count(*)
    FROM dirty AS d
    JOIN shard USING (shard)
    JOIN entity AS e ON e.entity_key = d.entity_key
    WHERE (%(fleet)s::text IS NULL OR e.fleet_id = %(fleet)s) AND d.resolution = '1d'
        AND d.window_start >= date_trunc('day', %(since)s::timestamptz, 'UTC') AND d.window_start < %(until)s
        AND d.window_start + interval '1 day' <= shard.closed_until
        AND d.marked_at <= %(computed_at)s
"""

# A window that was computed before waits for more changes. What a replay has marked is complete: it is due at once.
# Roll takes a mark that is as old as its window for one that was never computed. It may hold some of them just now.
_HURRY = """
    UPDATE dirty SET marked_at = window_start + interval '1 microsecond'
    WHERE ctid = ANY(ARRAY(
        SELECT d.ctid FROM dirty AS d
        JOIN shard USING (shard)
        JOIN entity AS e ON e.entity_key = d.entity_key
        WHERE (%(fleet)s::text IS NULL OR e.fleet_id = %(fleet)s) AND d.resolution = %(resolution)s
            AND d.window_start >= date_trunc('day', %(since)s::timestamptz, 'UTC') AND d.window_start < %(until)s
            AND d.window_start + %(width)s <= shard.closed_until
            AND d.marked_at > d.window_start + interval '1 microsecond'
        FOR UPDATE OF d SKIP LOCKED
    ))
"""

# One statement, and so one snapshot: what is marked again meanwhile is left out.
_COMPARE = """
    WITH device AS (
        SELECT entity_key, shard, device_id FROM entity
        WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND device_id IS NOT NULL
    ), counted AS (
        SELECT
            s.entity_key, date_trunc('minute', s.effective_time, 'UTC') AS minute,
            sum(cardinality(s.metric_keys))::bigint AS readings,
            sum((SELECT coalesce(sum(r), 0) FROM unnest(s.readings) AS r)) AS total,
            sum((SELECT coalesce(sum(abs(r)), 0) FROM unnest(s.readings) AS r)) AS magnitude
        FROM sample AS s JOIN device USING (entity_key)
        WHERE s.effective_time >= %(since)s AND s.effective_time < %(until)s
        GROUP BY 1, 2
        HAVING sum(cardinality(s.metric_keys)) > 0
    ), rolled AS (
        SELECT
            r.entity_key, r.window_start AS minute,
            (SELECT sum(c) FROM unnest(r.counts) AS c)::bigint AS readings,
            (SELECT sum(t) FROM unnest(r.sums) AS t) AS total
        FROM rollup_1m AS r JOIN device USING (entity_key)
        WHERE r.window_start >= %(since)s AND r.window_start < %(until)s AND r.metric_keys <> '{}'
    ), compared AS (
        SELECT
            device.device_id, minute,
            counted.readings IS NOT DISTINCT FROM rolled.readings
                AND abs(counted.total - rolled.total) <= %(tolerance)s * counted.magnitude AS fits
        FROM counted FULL JOIN rolled USING (entity_key, minute)
        JOIN device USING (entity_key)
        JOIN shard USING (shard)
        WHERE minute + interval '1 minute' <= shard.closed_until
            AND NOT EXISTS (
                SELECT FROM dirty AS d
                WHERE d.resolution = '1m' AND d.shard = device.shard AND d.window_start = minute
                    AND coalesce(d.entity_key, device.entity_key) = device.entity_key
            )
    )
    SELECT
        count(*) FILTER (WHERE fits),
        count(*) FILTER (WHERE fits IS NOT TRUE),
        min(device_id || ' at ' || write_time(minute)) FILTER (WHERE fits IS NOT TRUE)
    FROM compared
"""


# Of an hour's shards that were recomputed: their devices' minutes, and all fleets' if every shard was.
_COMPARE_NOTED = """
    WITH noted AS (
        SELECT shard, recomputed, readings, total, magnitude FROM replay_swap
        WHERE replay_number = %(number)s AND hour = %(since)s
    ), expected AS (
        SELECT false AS whole, sum(readings)::bigint AS readings, sum(total) AS total, sum(magnitude) AS magnitude
        FROM noted WHERE recomputed AND shard < 64
        UNION ALL
        SELECT true, sum(readings)::bigint, sum(total), sum(magnitude)
        FROM noted WHERE shard < 64 HAVING bool_and(recomputed)
    ), stored AS (
        SELECT
            device_id IS NULL AS whole,
            count(*) AS minutes,
            sum((SELECT sum(c) FROM unnest(r.counts) AS c))::bigint AS readings,
            sum((SELECT sum(t) FROM unnest(r.sums) AS t)) AS total
        FROM rollup_1m AS r JOIN entity AS e USING (entity_key)
        WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s)
            AND r.window_start >= %(since)s AND r.window_start < %(until)s AND r.metric_keys <> '{}'
            AND (device_id IS NULL OR e.shard IN (SELECT shard FROM noted WHERE recomputed))
        GROUP BY 1
    )
    SELECT
        coalesce(sum(minutes), 0)::bigint,
        count(*) FILTER (
            WHERE coalesce(expected.readings, 0) <> coalesce(stored.readings, 0)
                OR abs(coalesce(expected.total, 0) - coalesce(stored.total, 0))
                    > %(tolerance)s * coalesce(expected.magnitude, 0)
        )
    FROM expected LEFT JOIN stored USING (whole)
    -- Minutes in files were compared when they were written.
    WHERE %(since)s >= (SELECT floor FROM horizon WHERE store = 'rollup_1m')
"""


# Whether some of an hour's devices were swapped while their samples were there: nothing tells any more what they had.
_NOT_COMPARED = """
    SELECT true FROM replay_swap
    WHERE replay_number = %(number)s AND hour = %(since)s AND shard < 64 AND NOT recomputed AND NOT expired
    LIMIT 1
"""


class UnverifiedError(Exception):
    """Windows differ from what they are computed from."""


class Verified(msgspec.Struct, frozen=True):
    """The result of a check."""

    waits_for: int
    """Windows that are not computed yet."""
    verified: int = 0
    wrong: int = 0
    example: str | None = None
    unverified_hours: int = 0
    """Hours whose samples have expired since they were swapped, before they could be compared."""


def count_waiting_days(connection: Connection, replay: Replay, computed_at: datetime) -> int:
    """Let days be due, and count those that are not merged again since all hours were computed."""
    asked = _name_hours(replay)
    _hurry(connection, asked, "1d")
    return int(find_value(connection, _WAITING_DAYS, asked | {"computed_at": computed_at}))


def verify(connection: Connection, replay: Replay) -> Verified:
    """Check all hours of a replay."""
    plan = replay.plan
    asked = _name_hours(replay)
    waits_for, minutes = connection.execute(_WAITING, asked).fetchone() or (0, 0)
    if waits_for:
        # An hour that is merged before its minutes are would be merged twice.
        if not minutes:
            _hurry(connection, asked, "1h")
        return Verified(waits_for)
    verified = wrong = unverified = 0
    example: str | None = None
    hour: datetime = plan.hours_from
    while hour < plan.hours_to:
        until = hour + timedelta(hours=1)
        parameters = asked | {"since": hour, "until": until, "tolerance": TOLERANCE, "number": replay.replay_number}
        row: tuple[Any, ...] = (0, 0, None)
        if not _has_expired(connection, hour):
            row = connection.execute(_COMPARE, parameters).fetchone() or row
        # Asked again: samples below the floor may have gone meanwhile.
        if _has_expired(connection, hour):
            found = connection.execute(_COMPARE_NOTED, parameters).fetchone() or (0, 0)
            row = (*found, f"the hour {hour.isoformat()}" if found[1] else None)
            unverified += bool(find_value(connection, _NOT_COMPARED, parameters))
        verified, wrong, example = verified + row[0], wrong + row[1], example or row[2]
        hour = until
    return Verified(0, verified, wrong, example, unverified)


def _name_hours(replay: Replay) -> dict[str, Any]:
    plan = replay.plan
    return {"fleet": plan.fleet_id, "since": plan.hours_from, "until": plan.hours_to}


def _hurry(connection: Connection, asked: Mapping[str, Any], resolution: Resolution) -> None:
    """Let a replay's wider windows be due at once."""
    connection.execute(_HURRY, {**asked, "resolution": resolution, "width": WIDTHS[resolution]})


def _has_expired(connection: Connection, hour: datetime) -> bool:
    floor = find_floor(connection)
    return floor is not None and hour < floor
