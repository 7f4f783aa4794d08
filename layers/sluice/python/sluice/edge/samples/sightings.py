"""Sightings: under which contract and firmware devices report. Written rarely, not with every event."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.samples.events import Event
from sluice.edge.database import Connection
from sluice.edge.samples.numbering import DeviceSoftware, NumberedEntity, Who

# The precision of a device's last sighting.
EVERY = timedelta(minutes=10)

# Another process may have just written a row: another write would only block other writers.
_WRITE = """
    INSERT INTO sighting (entity_key, contract, schema_version, firmware, first_seen_at, last_seen_at)
    SELECT entity_key, contract, schema_version, firmware, first_seen_at, last_seen_at
    FROM unnest(
        %s::bigint[], %s::text[], %s::integer[], %s::text[], %s::timestamptz[], %s::timestamptz[]
    ) AS seen (entity_key, contract, schema_version, firmware, first_seen_at, last_seen_at)
    WHERE NOT EXISTS (
        SELECT FROM sighting
        WHERE sighting.entity_key = seen.entity_key AND sighting.contract = seen.contract
            AND sighting.schema_version = seen.schema_version AND sighting.firmware = seen.firmware
            AND sighting.first_seen_at <= seen.first_seen_at AND sighting.last_seen_at > seen.last_seen_at - %s
    )
    ORDER BY entity_key, contract, schema_version, firmware
    ON CONFLICT (entity_key, contract, schema_version, firmware) DO UPDATE SET
        first_seen_at = least(sighting.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(sighting.last_seen_at, excluded.last_seen_at)
"""


class Sighting(msgspec.Struct):
    """A device's first report under a contract and firmware in a while."""

    entity: NumberedEntity
    report: DeviceSoftware
    first_seen_at: datetime
    last_seen_at: datetime

    def remember(self) -> None:
        """Remember it as written; call this only after the commit."""
        self.entity.reported[self.report] = self.last_seen_at


def find_sightings(events: Iterable[Event], entities: Mapping[Who, NumberedEntity]) -> list[Sighting]:
    """Find the sightings to write: new in this process's memory, or some minutes old."""
    found: dict[tuple[int, DeviceSoftware], Sighting] = {}
    for event in events:
        entity = entities[event.fleet_id, event.device_id]
        report = (event.group.contract, event.group.schema_version, event.firmware)
        written = entity.reported.get(report)
        if written is not None and event.received_at < written + EVERY:
            continue
        sighting = found.get((entity.key, report))
        if sighting is None:
            found[entity.key, report] = Sighting(entity, report, event.received_at, event.received_at)
        else:
            sighting.first_seen_at = min(sighting.first_seen_at, event.received_at)
            sighting.last_seen_at = max(sighting.last_seen_at, event.received_at)
    return list(found.values())


def write_sightings(connection: Connection, sightings: Sequence[Sighting]) -> None:
    """Write sightings."""
    if sightings:
        connection.execute(
            _WRITE,
            (
                [one.entity.key for one in sightings],
                *map(list, zip(*(one.report for one in sightings), strict=True)),
                [one.first_seen_at for one in sightings],
                [one.last_seen_at for one in sightings],
                EVERY,
            ),
        )
