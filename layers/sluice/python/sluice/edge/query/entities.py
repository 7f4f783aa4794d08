"""Fleets, devices and their metrics."""

import time
from collections.abc import Mapping, Sequence

import msgspec

from sluice.core.errors import Refusal
from sluice.core.query.questions import Devices, Subject
from sluice.core.query.rollup_rows import DeviceMetric
from sluice.edge.query.reading import Reader, as_json

# How long a list of metrics is valid; a metric missing from it is looked up at once.
BOOK_SECONDS = 60.0

_FIND = """
    SELECT coalesce(json_agg(json_build_array(entity_key, shard, device_id) ORDER BY device_id), '[]')
    FROM entity
    WHERE fleet_id = $1 AND device_id IN (SELECT json_array_elements_text($2::json))
"""

_FIND_FLEET = """
    SELECT coalesce(json_agg(json_build_array(entity_key, shard, device_id)), '[]')
    FROM entity
    WHERE fleet_id = $1 AND device_id IS NULL
"""

_LIST = """
    SELECT coalesce(json_agg(json_build_object(
        'device_id', device_id,
        'first_seen_at', write_time(page.first_seen_at), 'last_seen_at', write_time(last.last_seen_at),
        'firmware', nullif(last.firmware, ''), 'contract', last.contract, 'schema_version', last.schema_version
    ) ORDER BY device_id), '[]')
    FROM (
        SELECT entity_key, device_id, first_seen_at FROM entity
        WHERE fleet_id = $1 AND device_id > $2
        ORDER BY device_id LIMIT $3::int
    ) AS page
    LEFT JOIN LATERAL (
        SELECT * FROM sighting WHERE sighting.entity_key = page.entity_key ORDER BY last_seen_at DESC LIMIT 1
    ) AS last ON true
"""

_METRICS = """
    SELECT coalesce(json_object_agg(metric_key, json_build_array(name, unit, resolution)), '{}') FROM metric
"""


class Entity(msgspec.Struct, frozen=True, array_like=True):
    """A device in the database, or, without a device id, the fleet as a whole."""

    key: int
    shard: int
    device_id: str | None


class Device(msgspec.Struct, frozen=True):
    """A device in a list, with its last sighting."""

    device_id: str
    first_seen_at: str
    last_seen_at: str | None
    firmware: str | None
    contract: str | None
    schema_version: int | None


class Entities:
    """Finds devices, fleets and metrics."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._book: dict[int, DeviceMetric] = {}
        self._read_again_at = 0.0

    def find(self, subject: Subject, members: Sequence[str]) -> list[Entity]:
        """Find the device, the devices of a group that have ever sent events, or the fleet."""
        if subject.device_id is None and subject.group_id is None:
            return self._reader.read(list[Entity], _FIND_FLEET, subject.fleet_id)
        names = members if subject.device_id is None else [subject.device_id]
        found = self._reader.read(list[Entity], _FIND, subject.fleet_id, as_json(names))
        if subject.device_id is not None and not found:
            raise Refusal(404, "device_unknown", "No device of this name has sent anything that counts.")
        return found

    def list_devices(self, asked: Devices) -> list[Device]:
        """List devices, one more than asked for if more exist."""
        return self._reader.read(list[Device], _LIST, asked.fleet_id, asked.after, str(asked.limit + 1))

    def book(self, keys: set[int]) -> Mapping[int, DeviceMetric]:
        """Return the names and units of at least these metrics."""
        if time.monotonic() >= self._read_again_at or not keys <= self._book.keys():
            self._book = self._reader.read(dict[int, DeviceMetric], _METRICS)
            self._read_again_at = time.monotonic() + BOOK_SECONDS
        return self._book
