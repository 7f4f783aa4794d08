"""Reading how a fleet is doing."""

from datetime import datetime, timedelta

import msgspec

from sluice.edge.query.reading import Reader

MOST_LISTED = 200
COUNTED = timedelta(hours=24)

_STATUS = """
    SELECT json_build_object(
        'devices', (SELECT count(*) FROM entity WHERE fleet_id = $1 AND device_id IS NOT NULL),
        'closed_until', (
            SELECT floor(extract(epoch FROM min(closed_until)))::bigint FROM shard HAVING isfinite(min(closed_until))
        ),
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
    )
"""

_ALIVE = "SELECT 'true'::json"


class MetricName(msgspec.Struct, frozen=True):
    """A metric and its unit."""

    metric: str
    unit: str


class Firmware(msgspec.Struct, frozen=True):
    """What devices have reported under."""

    contract: str
    schema_version: int
    firmware: str | None
    devices: int
    last_seen_at: str


class UnknownField(msgspec.Struct, frozen=True):
    """A field that no contract names."""

    contract: str
    schema_version: int
    field: str
    events: int


class Gap(msgspec.Struct, frozen=True):
    """Records of a partition that were passed over; the last offset is not one of them."""

    partition: int
    from_offset: int
    to_offset: int
    received_from: str
    received_to: str


class Status(msgspec.Struct, frozen=True):
    """What the database knows of a fleet."""

    devices: int
    closed_until: int | None
    events: dict[str, int]
    metrics: list[MetricName]
    firmware_versions: list[Firmware]
    unknown_fields: list[UnknownField]
    gaps: list[Gap]


class FleetReader:
    """Reads a fleet's status."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def read(self, fleet_id: str, now: datetime) -> Status:
        """Read how a fleet is doing; counts are of the last day, in whole hours."""
        since = str(int((now - COUNTED).timestamp()))
        return self._reader.read(Status, _STATUS, fleet_id, since, str(MOST_LISTED))

    def alive(self) -> None:
        """Find out whether the database answers."""
        self._reader.read(bool, _ALIVE)
