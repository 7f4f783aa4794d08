"""Computing the windows of an hour whose samples have expired, in place of those that are stored.

choose what counts -> compute the minutes -> compare them with what was chosen -> lock the shard against roll -> merge
the hour -> mark the day

The statements are roll's own. Minutes that are in the database are replaced there. Those in files wait in a table of
the replay, until the files are replaced (replacing.py).
"""

from datetime import datetime
from typing import Any

import msgspec
from psycopg import sql

from sluice.core.replay.plan import HOUR
from sluice.core.rollups.resolutions import WIDTHS, floor_to
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.statements import OF_FLEETS, OF_SHARD, read_statement
from sluice.edge.replay.verifying import TOLERANCE, UnverifiedError
from sluice.edge.rollups.computing import SETTINGS, Tables, Windows, remove_unwritten, store_windows

SHARDS = 64
PARTS = 6
"""In how many parts an hour of fleets is computed: all of a fleet's events at once are too many for one transaction."""
MINUTE = WIDTHS["1m"]

# Nobody merges the shard's hour meanwhile: a roller passes over what is locked. No earlier, because the answers of all
# fleets wait for the slowest shard; and roll computes no minute whose samples have expired.
_LOCK_SHARD = "SELECT FROM shard WHERE shard = %(shard)s FOR UPDATE"

# tier is locked out, so that this floor stays.
_MINUTES_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'rollup_1m'"

_ENTITIES = """
    SELECT entity_key, fleet_id FROM entity
    WHERE shard = %(shard)s AND (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND (device_id IS NULL) = %(whole)s
    ORDER BY entity_key
"""

_SUMS = """
    SELECT
        coalesce(sum(cardinality(metric_keys)), 0)::bigint,
        coalesce(sum((SELECT sum(r) FROM unnest(readings) AS r)), 0),
        coalesce(sum((SELECT sum(abs(r)) FROM unnest(readings) AS r)), 0)
    FROM wanted
"""

_STORED_BEFORE = sql.SQL("""
    SELECT DISTINCT window_start FROM {target} AS t
    WHERE t.entity_key = ANY(%(entities)s::bigint[]) AND t.window_start >= %(since)s AND t.window_start < %(until)s
        AND t.xmin <> pg_current_xact_id()::xid
""")

_CHOOSE, _DIFFERS, _MARK_DAYS, _FORGET_COPIES = map(read_statement, ("choose", "differs", "mark_days", "forget_copies"))


def name_recomputed(replay_number: int) -> str:
    """Name the table of a replay's minutes whose rows are in files."""
    return f"recomputed_{replay_number}"


class Place(msgspec.Struct, frozen=True):
    """Where the rows of an hour's minutes are."""

    tables: Tables
    in_files: bool


def prepare_place(connection: Connection, hour: datetime, replay_number: int) -> Place:
    """Find where the rows of an hour's minutes are, and make room there; tier must be locked out.

    Not in the unit's transaction: it would hold up whoever else makes room.
    """
    floor = find_value(connection, _MINUTES_FLOOR)
    connection.execute("SELECT ensure_partition('rollup_1h', %s)", [hour])
    if floor is None or hour >= floor:
        connection.execute("SELECT ensure_partition('rollup_1m', %s)", [hour])
        return Place(Tables(samples="wanted"), in_files=False)
    connection.execute("SELECT open_recomputed(%s)", [replay_number])
    # Readers are told of changes once the files have changed.
    tables = Tables(samples="wanted", rollups_1m=name_recomputed(replay_number), changes="noted_later")
    return Place(tables, in_files=True)


class Recomputing(msgspec.Struct, frozen=True):
    """The work on one unit, in its transaction."""

    connection: Connection
    parameters: dict[str, Any]
    """Those of the unit's statements."""
    place: Place

    def recompute(self, part: int) -> dict[str, Any]:
        """Compute and replace windows of devices, or of fleets in a part of the hour; return what to record."""
        for setting in SETTINGS:
            self.connection.execute(setting)
        whole = part > 0
        found = self.connection.execute(_ENTITIES, self.parameters | {"whole": whole}).fetchall()
        entities, fleets = [key for key, _ in found], [fleet for _, fleet in found]
        sums: tuple[Any, ...] = (0, 0, 0)
        if whole:
            windows = self._compute_fleets(entities, fleets, part)
        else:
            windows = self._compute_devices(entities)
            sums = self.connection.execute(_SUMS).fetchone() or sums
        if part in (0, PARTS):
            self.connection.execute(_LOCK_SHARD, self.parameters)
            self._merge_hour(entities, whole=whole)
            self.connection.execute(_MARK_DAYS, {"day": floor_to(self._hour, WIDTHS["1d"]), "entities": entities})
        resolutions = ["1h"] if self.place.in_files else ["1m", "1h"]
        self.connection.execute(_FORGET_COPIES, {"since": self._hour, "resolutions": resolutions})
        names = ("readings", "total", "magnitude")
        done = {"recomputed": True, "in_files": self.place.in_files, "windows": windows}
        return done | dict(zip(names, sums, strict=True))

    @property
    def _hour(self) -> datetime:
        hour: datetime = self.parameters["since"]
        return hour

    def _compute_devices(self, entities: list[int]) -> int:
        self.connection.execute(_CHOOSE.format(whose=OF_SHARD), self.parameters)
        since, until = self._hour, self._hour + HOUR
        minutes = _list_minutes(since, until)
        windows = Windows(minutes, shards=[self.parameters["shard"]] * len(minutes))
        stored = store_windows(
            self.connection, "samples_of_shards", "1m", windows, many=True, single=False, tables=self.place.tables
        )
        self._finish_minutes(entities, since, until, whole=False)
        return stored

    def _compute_fleets(self, entities: list[int], fleets: list[str], part: int) -> int:
        until = self._hour + HOUR * part / PARTS
        since = until - HOUR / PARTS
        self.connection.execute(_CHOOSE.format(whose=OF_FLEETS), self.parameters | {"since": since, "until": until})
        minutes = _list_minutes(since, until)
        windows = Windows(
            [minute for minute in minutes for _ in entities],
            entities=entities * len(minutes),
            fleets=fleets * len(minutes),
        )
        stored = store_windows(
            self.connection, "samples_of_fleets", "1m", windows, many=True, single=True, tables=self.place.tables
        )
        self._finish_minutes(entities, since, until, whole=True)
        return stored

    def _finish_minutes(self, entities: list[int], since: datetime, until: datetime, *, whole: bool) -> None:
        """Remove rows that have no event, and refuse those that do not hold the readings chosen for them."""
        if not self.place.in_files:
            stored = self.connection.execute(
                _STORED_BEFORE.format(target=self.place.tables.target("1m")),
                {"entities": entities, "since": since, "until": until},
            )
            for (minute,) in stored.fetchall():
                remove_unwritten(self.connection, "1m", minute, entities, self.place.tables)
        asked = {"entities": entities, "since": since, "until": until, "tolerance": TOLERANCE, "whole": whole}
        wrong = find_value(self.connection, _DIFFERS.format(target=self.place.tables.target("1m")), asked)
        if wrong:
            detail = f"{wrong} recomputed minutes from {since.isoformat()} on do not hold their events"
            raise UnverifiedError(detail)

    def _merge_hour(self, entities: list[int], *, whole: bool) -> None:
        tables = Tables(rollups_1m=self.place.tables.rollups_1m)
        windows = Windows([self._hour] * len(entities), entities=entities)
        store_windows(self.connection, "rollups_of_entities", "1h", windows, many=False, single=whole, tables=tables)
        remove_unwritten(self.connection, "1h", self._hour, entities, tables)


def _list_minutes(since: datetime, until: datetime) -> list[datetime]:
    return [since + number * MINUTE for number in range((until - since) // MINUTE)]
