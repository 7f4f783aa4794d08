"""Rolling in the database: one transaction at a time claims windows, computes them and stores the results.

A transaction locks shards that no other roller works on and deletes the markers of the windows it claims. It computes
in later statements: under READ COMMITTED these see every sample whose marker the deletion saw, and a marker committed
after that stays for the next transaction. (If one statement deleted and computed, such samples would be lost.)
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from sluice.core.errors import Retryable
from sluice.core.rollups.resolutions import WIDTHS, Resolution, floor_to
from sluice.core.rollups.rolling_plan import Claim, Marker, drop_covered, mark_wider, select_complete
from sluice.core.rollups.watermark import Covered
from sluice.edge import database
from sluice.edge.database import Connection, Database, find_value
from sluice.edge.rollups.computing import NARROWER, Windows, read_statement, remove_unwritten, store_windows
from sluice.edge.settings import DatabaseSettings

FEW_DEVICES = 500
"""Up to this many devices of fleets are read one by one; beyond it, all samples of a minute are read."""
WIDER: dict[Resolution, Resolution] = {"1m": "1h", "1h": "1d"}

_SETTINGS = b"""
    SET jit = off;
    -- It would remember what was unpacked of each row's arrays, which no other row has.
    SET enable_memoize = off;
    SET work_mem = '64MB';
    -- maintain takes its locks for moments only.
    SET lock_timeout = '5s';
    -- A roller that was killed or frozen must not keep its shards from the others.
    SET idle_in_transaction_session_timeout = '10s';
    SET client_connection_check_interval = '1s'
"""

_COVERED = """
    SELECT partition, coalesce(upper(offsets), 0), nullif(received_until, '-infinity')
    FROM coverage
    WHERE consumer = %s AND topic = %s
"""

# maintain raises the floor before it drops partitions below it: the lock keeps the floor in place while we read.
_FLOOR = "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = %s FOR SHARE"

_DEVICES = "SELECT entity_key FROM entity WHERE shard = ANY(%s) AND device_id IS NOT NULL"

# Only rollers mark wider windows, and only with their shard locked: one existing marker is enough.
_MARK = """
    INSERT INTO dirty (resolution, shard, window_start, entity_key, marked_at)
    SELECT %(resolution)s, m.shard, m.window_start, m.entity_key, coalesce(m.waits_since, clock_timestamp())
    FROM unnest(
        %(shards)s::smallint[], %(windows)s::timestamptz[], %(entities)s::bigint[], %(moments)s::timestamptz[]
    ) AS m (shard, window_start, entity_key, waits_since)
    WHERE NOT EXISTS (
        SELECT FROM dirty AS d
        WHERE d.resolution = %(resolution)s AND d.shard = m.shard AND d.window_start = m.window_start
            AND d.entity_key IS NOT DISTINCT FROM m.entity_key
    )
"""

_CLOSE = """
    UPDATE shard SET closed_until = closed.until
    FROM unnest(%(shards)s::smallint[], %(untils)s::timestamptz[]) AS closed (shard, until)
    WHERE shard.shard = closed.shard AND shard.closed_until < closed.until
"""


_LOCK_MINUTES, _CLAIM_MINUTES = read_statement("lock_minutes"), read_statement("claim_minutes")
_LOCK_WIDER, _CLAIM_WIDER = read_statement("lock_wider"), read_statement("claim_wider")


def connect(login: DatabaseSettings, answer_seconds: float) -> Connection:
    """Open a connection for rolling."""
    return prepare(database.connect(login, answer_seconds))


def prepare(connection: Connection) -> Connection:
    """Set a connection up for rolling."""
    connection.execute(_SETTINGS)
    # Each statement is planned for its actual windows, not for windows in general.
    connection.prepare_threshold = None
    return connection


class Rolled(msgspec.Struct, frozen=True):
    """The work of one transaction."""

    shards: int = 0
    """The number of shards that it locked; zero if nothing was due."""
    windows: int = 0
    below_horizon: int = 0


class UnrollableError(Exception):
    """Some shards can never be computed: a bug of ours, which must not block the others."""

    def __init__(self, shards: Collection[int], cause: psycopg.Error) -> None:
        super().__init__(f"shards {sorted(shards)} cannot be rolled: {cause}")
        self.shards = frozenset(shards)


class _Claims(msgspec.Struct, frozen=True):
    """The claims of one transaction."""

    connection: Connection
    shards: set[int]
    windows: set[datetime]


class Rolling:
    """The roller's side of the database.

    `settling` is how long rolled windows wait for more changes before they are rolled again.
    """

    def __init__(self, store: Database, grace: timedelta, settling: Mapping[Resolution, timedelta]) -> None:
        self._store = store
        self._grace = grace
        self._settling = settling

    def read_covered(self, consumer: str, topic: str) -> dict[int, Covered]:
        """Read how far a consumer has covered each partition of a topic."""
        with self._store.use() as connection:
            rows = connection.execute(_COVERED, [consumer, topic]).fetchall()
        return {partition: Covered(until, received_until) for partition, until, received_until in rows}

    def count_markers(self) -> int:
        """Count the waiting markers."""
        with self._store.use() as connection:
            return int(find_value(connection, "SELECT count(*) FROM dirty"))

    def roll_minutes(self, watermark: datetime | None, shards: int, aside: Collection[int] = ()) -> Rolled:
        """Roll minutes of up to so many shards: those that the watermark closes, and those that changed since."""
        bound = None if watermark is None else floor_to(watermark - self._grace, WIDTHS["1m"])
        parameters: dict[str, Any] = {"bound": bound, "shards": shards, "straggler": self._settling["1m"]}
        parameters["aside"] = [*aside]
        with self._transaction("1m") as work:
            connection = work.connection
            untils: dict[int, datetime] = dict(connection.execute(_LOCK_MINUTES, parameters).fetchall())
            if not untils:
                return Rolled()
            work.shards.update(untils)
            floor = _lock_floor(connection, "sample")
            parameters |= {"shards": [*untils], "untils": [*untils.values()], "many": FEW_DEVICES + 1}
            claims = [Claim(*row) for row in connection.execute(_CLAIM_MINUTES, parameters).fetchall()]
            complete, below = select_complete(claims, floor)
            work.windows.update(claim.window_start for claim in complete)
            rolled = _roll_minutes(connection, drop_covered(complete))
            _mark(connection, "1h", mark_wider(complete, WIDTHS["1h"], untils))
            connection.execute(_CLOSE, parameters)
        return Rolled(len(untils), rolled, len(below))

    def roll_wider(self, resolution: Resolution, aside: Collection[int] = ()) -> Rolled:
        """Roll closed hours or days of one shard whose due narrower windows are all rolled."""
        narrower = NARROWER[resolution]
        parameters: dict[str, Any] = {
            "resolution": resolution,
            "width": WIDTHS[resolution],
            "settling": self._settling[resolution],
            "narrower": narrower,
            "narrower_settling": self._settling[narrower],
            "aside": [*aside],
        }
        with self._transaction(resolution) as work:
            connection = work.connection
            untils: dict[int, datetime] = dict(connection.execute(_LOCK_WIDER, parameters).fetchall())
            if not untils:
                return Rolled()
            work.shards.update(untils)
            floor = _lock_floor(connection, f"rollup_{narrower}")
            ((shard, closed_until),) = untils.items()
            parameters |= {"shard": shard, "closed_until": closed_until}
            rows = connection.execute(_CLAIM_WIDER, parameters).fetchall()
            claims = [Claim(shard, window, key, fleet, again=again) for window, key, fleet, again in rows]
            complete, below = select_complete(claims, floor)
            work.windows.update(claim.window_start for claim in complete)
            rolled = _roll(connection, resolution, drop_covered(complete))
            if resolution in WIDER:
                wider = WIDER[resolution]
                _mark(connection, wider, mark_wider(complete, WIDTHS[wider], untils))
        return Rolled(len(untils), rolled, len(below))

    @contextmanager
    def _transaction(self, resolution: Resolution) -> Iterator[_Claims]:
        """Run a transaction that records its claims; a missing partition for a window is created."""
        windows, shards = set[datetime](), set[int]()
        try:
            # One transaction, without savepoints: its id identifies the rows that it wrote.
            with self._store.use() as connection, connection.transaction():
                yield _Claims(connection, shards, windows)
        except psycopg.DataError as error:
            raise UnrollableError(shards, error) from error
        except psycopg.errors.CheckViolation as error:
            with self._store.use() as connection:
                for window in sorted(windows):
                    connection.execute("SELECT ensure_partition(%s, %s)", [f"rollup_{resolution}", window])
            raise Retryable(f"a partition of rollup_{resolution} was missing: {error}") from error


def _lock_floor(connection: Connection, store: str) -> datetime | None:
    # A store without its row must fail: without a floor, a partial window could replace a whole one.
    floor: datetime | None
    ((floor,),) = connection.execute(_FLOOR, [store]).fetchall()
    return floor


def _roll_minutes(connection: Connection, claims: Sequence[Claim]) -> int:
    """Compute minutes from samples: for shards and devices by sorting their few readings, for fleets by counting."""
    fleets = [claim for claim in claims if claim.fleet_id is not None]
    rolled = _roll(connection, "1m", [claim for claim in claims if claim.fleet_id is None])
    if fleets:
        few = sum(claim.devices for claim in fleets) <= FEW_DEVICES
        source = "samples_of_small_fleets" if few else "samples_of_fleets"
        rolled += _replace(connection, source, "1m", fleets, many=not few)
    return rolled


def _roll(connection: Connection, resolution: Resolution, claims: Sequence[Claim]) -> int:
    shards = [claim for claim in claims if claim.entity_key is None]
    entities = [claim for claim in claims if claim.entity_key is not None]
    of_shards, of_entities = (
        ("rollups_of_shards", "rollups_of_entities")
        if resolution in NARROWER
        else ("samples_of_shards", "samples_of_devices")
    )
    rolled = _replace(connection, of_shards, resolution, shards, many=True) if shards else 0
    return rolled + (_replace(connection, of_entities, resolution, entities, many=False) if entities else 0)


def _replace(
    connection: Connection, source: str, resolution: Resolution, claims: Sequence[Claim], *, many: bool
) -> int:
    """Compute and store the rows of claimed windows, and remove rows that have no input any more."""
    windows = Windows(
        [claim.window_start for claim in claims],
        [claim.shard for claim in claims],
        [claim.entity_key for claim in claims],
        [claim.fleet_id for claim in claims],
    )
    single = claims[0].entity_key is not None
    rolled = store_windows(connection, source, resolution, windows, many=many, single=single)
    for window, entities in _group_written_before(connection, claims):
        remove_unwritten(connection, resolution, window, entities)
    return rolled


def _group_written_before(connection: Connection, claims: Iterable[Claim]) -> Iterator[tuple[datetime, list[int]]]:
    """List by window the entities that may have an earlier row."""
    by_window: defaultdict[datetime, list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.again:
            by_window[claim.window_start].append(claim)
    for window, group in sorted(by_window.items()):
        entities = [claim.entity_key for claim in group if claim.entity_key is not None]
        shards = [claim.shard for claim in group if claim.entity_key is None]
        if shards:
            entities += [entity_key for (entity_key,) in connection.execute(_DEVICES, [shards]).fetchall()]
        yield window, entities


def _mark(connection: Connection, resolution: Resolution, markers: Sequence[Marker]) -> None:
    if markers:
        parameters = {
            "resolution": resolution,
            "shards": [marker.shard for marker in markers],
            "windows": [marker.window_start for marker in markers],
            "entities": [marker.entity_key for marker in markers],
            "moments": [marker.waits_since for marker in markers],
        }
        connection.execute(_MARK, parameters)
