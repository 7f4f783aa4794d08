"""Reading a fleet's status."""

from datetime import datetime, timedelta
from typing import Any

from sluice.edge.query.reading import Reader

MOST_LISTED = 200
COUNTED = timedelta(hours=24)
ALIVE_SECONDS = 1.0
"""For so long an answer of the database shows that it is well."""

# The answer contains the second part as written here.
_STATUS = """
    SELECT json_build_array((
        SELECT floor(extract(epoch FROM min(closed_until)))::bigint FROM shard HAVING isfinite(min(closed_until))
    ), json_build_object(
        'devices', (SELECT count(*) FROM entity WHERE fleet_id = $1 AND device_id IS NOT NULL),
        'events', (
            SELECT coalesce(json_object_agg(outcome, events), '{}') FROM (
                SELECT outcome, sum(events) AS events FROM outcome
                WHERE fleet_id = $1 AND received_hour > to_timestamp($2::bigint) AND consumer = 'aggregate'
                GROUP BY outcome
            ) AS outcomes
        ),
        'metrics', (
            SELECT coalesce(json_agg(json_build_object('metric', name, 'unit', unit) ORDER BY name), '[]') FROM metric
        ),
        'firmware_versions', (
            SELECT coalesce(json_agg(firmwares ORDER BY contract, schema_version, firmware), '[]') FROM (
                SELECT
                    contract, schema_version, nullif(firmware, '') AS firmware, count(*) AS devices,
                    write_time(max(last_seen_at)) AS last_seen_at
                FROM entity JOIN sighting USING (entity_key)
                WHERE fleet_id = $1
                GROUP BY contract, schema_version, firmware
                ORDER BY max(last_seen_at) DESC LIMIT $3::int
            ) AS firmwares
        ),
        'unknown_fields', (
            SELECT coalesce(json_agg(fields ORDER BY contract, schema_version, field), '[]') FROM (
                SELECT contract, schema_version, field, sum(events) AS events FROM unknown_field
                WHERE fleet_id = $1 AND received_hour > to_timestamp($2::bigint)
                GROUP BY contract, schema_version, field
                ORDER BY sum(events) DESC LIMIT $3::int
            ) AS fields
        ),
        'gaps', (
            SELECT coalesce(json_agg(gaps ORDER BY received_from), '[]') FROM (
                SELECT
                    gap.partition, lower(gap.offsets) AS from_offset, upper(gap.offsets) AS to_offset,
                    write_time(greatest(received_from, 'epoch')) AS received_from,
                    write_time(coalesce(nullif(received_to, '-infinity'), now())) AS received_to
                FROM gap LEFT JOIN coverage USING (consumer, topic, partition)
                WHERE consumer = 'aggregate' AND (given_up OR NOT gap.offsets <@ coalesce(coverage.offsets, '{}'))
                ORDER BY received_from DESC LIMIT $3::int
            ) AS gaps
        )
    ))
"""


def read_status(reader: Reader, fleet_id: str, now: datetime) -> tuple[int | None, dict[str, Any]]:
    """Read up to when windows are closed, and a fleet's status; counts cover the last day, in whole hours."""
    since = str(int((now - COUNTED).timestamp()))
    return reader.read(tuple[int | None, dict[str, Any]], _STATUS, fleet_id, since, str(MOST_LISTED))


def check_alive(reader: Reader) -> None:
    """Check whether the database answers: anyone may ask, so each process asks it once a second at most."""
    if not reader.has_answered_within(ALIVE_SECONDS):
        reader.read(bool, "SELECT 'true'::json")
