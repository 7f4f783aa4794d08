"""The database's keys of devices, fleets and metrics; new ones get their keys here.

The keys are cached per connection: a new connection may reach a restored database, in which a cached key belongs to
another entity.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from sluice.core.events.units import Series
from sluice.core.samples.shards import shard_of
from sluice.edge.database import Connection

MAX_ENTITIES = 100_000

Who = tuple[str, str | None]  # a fleet, and its device or the fleet as a whole
DeviceSoftware = tuple[str, int, str]  # contract, version, firmware

_FIND = """
    WITH wanted AS (SELECT * FROM unnest(%s::text[], %s::text[]) AS names (fleet_id, device_id))
    SELECT fleet_id, device_id, entity_key FROM entity JOIN wanted USING (fleet_id, device_id)
    UNION ALL
    SELECT fleet_id, NULL, entity_key FROM entity JOIN wanted USING (fleet_id)
    WHERE entity.device_id IS NULL AND wanted.device_id IS NULL
"""

_CREATE = """
    INSERT INTO entity (fleet_id, device_id, shard)
    SELECT fleet_id, device_id, shard
    FROM unnest(%s::text[], %s::text[], %s::smallint[]) AS wanted (fleet_id, device_id, shard)
    ORDER BY fleet_id, device_id
    ON CONFLICT DO NOTHING
"""

_FIND_METRICS = "SELECT name, metric_key, unit FROM metric"

_CREATE_METRIC = "INSERT INTO metric (name, unit, resolution) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"


class UnitChangedError(Exception):
    """A series is declared in another unit than that of its stored numbers."""


class NumberedEntity(msgspec.Struct):
    """A device or a fleet in the database."""

    key: int
    shard: int
    reported: dict[DeviceSoftware, datetime]
    """When this process last wrote its sightings."""


class Numbering:
    """Finds keys, and has the database assign new ones."""

    def __init__(self, series: Mapping[str, Series]) -> None:
        self._series = series
        self._connection: Connection | None = None
        self._entities: OrderedDict[Who, NumberedEntity] = OrderedDict()
        self._metrics: dict[str, int] = {}

    def entities(self, connection: Connection, wanted: Iterable[Who]) -> dict[Who, NumberedEntity]:
        """Return devices and fleets with their keys; new ones get theirs in a short separate transaction."""
        self._forget_if_new(connection)
        found: dict[Who, NumberedEntity] = {}
        missing: list[Who] = []
        for who in wanted:
            known = self._entities.get(who)
            if known is None:
                missing.append(who)
            else:
                self._entities.move_to_end(who)
                found[who] = known
        if missing:
            found |= self._read(connection, missing)
            new = [who for who in missing if who not in found]
            if new:
                fleets, devices = zip(*new, strict=True)
                connection.execute(_CREATE, (list(fleets), list(devices), [shard_of(*who) for who in new]))
                found |= self._read(connection, new)
        return found

    def metrics(self, connection: Connection, wanted: Iterable[str]) -> dict[str, int]:
        """Return the database's key of each metric by its name; new names get theirs in short separate transactions."""
        self._forget_if_new(connection)
        if not self._metrics.keys() >= set(wanted):
            self._read_metrics(connection)
            new = sorted(set(wanted) - self._metrics.keys())
            for name in new:
                series = self._series[name]
                connection.execute(_CREATE_METRIC, (name, series.unit, series.resolution))
            if new:
                self._read_metrics(connection)
        return self._metrics

    def _read(self, connection: Connection, missing: list[Who]) -> dict[Who, NumberedEntity]:
        fleets, devices = zip(*missing, strict=True)
        found = {
            (fleet_id, device_id): NumberedEntity(key, shard_of(fleet_id, device_id), {})
            for fleet_id, device_id, key in connection.execute(_FIND, (list(fleets), list(devices)))
        }
        self._entities |= found
        while len(self._entities) > MAX_ENTITIES:
            self._entities.popitem(last=False)
        return found

    def _read_metrics(self, connection: Connection) -> None:
        for name, key, unit in connection.execute(_FIND_METRICS):
            declared = self._series.get(name)
            if declared is not None and declared.unit != unit:
                raise UnitChangedError(f"{name} is kept in {unit}; it cannot be declared in {declared.unit} instead")
            self._metrics[name] = key

    def _forget_if_new(self, connection: Connection) -> None:
        if connection is not self._connection:
            self._connection = connection
            self._entities.clear()
            self._metrics.clear()
