"""The tables of the control plane. One change at a time: each audit entry carries the hash of the one before."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, LiteralString, TypeVar

import msgspec
from psycopg.rows import kwargs_row

from sluice.core.control.api_keys import ApiKey, MadeKey
from sluice.core.control.audit import Act, Entry, write_entry
from sluice.core.control.fleets import Fleet
from sluice.core.control.requests import AdminRequest
from sluice.core.errors import Refusal
from sluice.edge.database import Connection, Database, find_value

# Changes wait for each other under this number, which is arbitrary, but unique to this lock.
_LOCK = 5_170_002
# A function that was frozen or cut off must not keep the lock from the others.
_IDLE = "10s"
ANSWERS_KEPT = timedelta(days=7)

Row = TypeVar("Row", bound=msgspec.Struct)

_FLEETS = """
    SELECT fleet_id, events_per_second, rejects_per_second, home_region, created_at, archived_at, version,
        retention_days, device_type
    FROM fleet
"""
_KEYS = "SELECT key_id, fleet_id, role, created_at, expires_at, revoked_at, successor FROM api_key"


class Kept(msgspec.Struct, frozen=True):
    """The answer to an earlier request with the same idempotency key."""

    status: int
    body: dict[str, Any]


def lock_audit(connection: Connection) -> None:
    """Wait for other changes until the transaction ends: each audit entry carries the hash of the one before."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


class ControlStore:
    """Reads fleets, keys and the audit, and opens transactions that change them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def reading(self) -> Iterator["Rows"]:
        """Read in one snapshot."""
        self._reconnect()
        with self._database.use() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield Rows(connection)

    @contextmanager
    def changing(self) -> Iterator["Changes"]:
        """Change something: all of it with its audit entries, or nothing."""
        self._reconnect()
        with self._database.use() as connection, connection.transaction():
            connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", (_IDLE,))
            lock_audit(connection)
            yield Changes(connection)

    def _reconnect(self) -> None:
        # The server ends idle connections. A question is repeated on a new one, and a transaction is not.
        self._database.ask("SELECT 1")


class Rows:
    """What can be read in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def fleet(self, fleet_id: str) -> Fleet:
        """Read a fleet, or refuse an unknown one."""
        for fleet in self.read(Fleet, f"{_FLEETS} WHERE fleet_id = %s", fleet_id):
            return fleet
        raise Refusal(404, "unknown_fleet", f"There is no fleet {fleet_id[:64]!r}.")

    def fleets(self, after: str, most: int) -> list[Fleet]:
        """List fleets in the order of their ids."""
        return self.read(Fleet, f"{_FLEETS} WHERE fleet_id > %s ORDER BY fleet_id LIMIT %s", after, most)

    def key(self, fleet_id: str, key_id: str) -> ApiKey:
        """Read a key of a fleet, or refuse an unknown one."""
        for key in self.read(ApiKey, f"{_KEYS} WHERE fleet_id = %s AND key_id = %s", fleet_id, key_id):
            return key
        raise Refusal(404, "unknown_key", f"Fleet {fleet_id[:64]!r} has no key {key_id[:64]!r}.")

    def working_keys(self, fleet_id: str, now: datetime) -> list[ApiKey]:
        """List a fleet's keys that are neither revoked nor expired."""
        keys = self.read(ApiKey, f"{_KEYS} WHERE fleet_id = %s ORDER BY key_id", fleet_id)
        return [key for key in keys if key.state(now) in ("active", "rotated")]

    def count_working_keys(self, now: datetime) -> int:
        """Count the keys of all fleets that are neither revoked nor expired."""
        working = "SELECT count(*) FROM api_key WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %s)"
        return int(find_value(self.connection, working, (now,)))

    def keys(self, fleet_id: str, after: str, most: int) -> list[ApiKey]:
        """List a fleet's keys in the order of their ids."""
        return self.read(
            ApiKey, f"{_KEYS} WHERE fleet_id = %s AND key_id > %s ORDER BY key_id LIMIT %s", fleet_id, after, most
        )

    def entries(self, after: int, most: int, *, newest_first: bool) -> list[Entry]:
        """List audit entries after one, the oldest or the newest first."""
        backward = "SELECT number, entry, hash FROM audit WHERE number < %s ORDER BY number DESC LIMIT %s"
        forward = "SELECT number, entry, hash FROM audit WHERE number > %s ORDER BY number LIMIT %s"
        rows = self.connection.execute(backward if newest_first else forward, (after, most))
        return [Entry(number, text.encode(), digest) for number, text, digest in rows]

    def read(self, kind: Callable[..., Row], query: LiteralString, *parameters: str | int) -> list[Row]:
        """Read rows whose columns have the names of a struct's fields."""
        # PostgreSQL has no text with U+0000, and fails where it is asked for one.
        if any("\0" in each for each in parameters if isinstance(each, str)):
            return []
        with self.connection.cursor(row_factory=kwargs_row(kind)) as cursor:
            return cursor.execute(query, parameters).fetchall()


class Changes(Rows):
    """What can be written in a transaction."""

    def find_answer(self, request: AdminRequest) -> Kept | None:
        """Find the answer to this request, if it was made before; refuse another request with its idempotency key."""
        row = self.connection.execute(
            "SELECT request_hash, status, answer FROM answered WHERE principal = %s AND idempotency_key = %s",
            (request.principal, request.idempotency_key),
        ).fetchone()
        if row is None:
            return None
        if row[0] != request.digest():
            raise Refusal(422, "idempotency_key_reused", "This idempotency key belongs to another request.")
        return Kept(row[1], row[2])

    def change_once(self, request: AdminRequest, make: Callable[[], Kept]) -> Kept:
        """Make a change and keep its answer; a repeated request changes nothing and gets that answer."""
        kept = self.find_answer(request) if request.idempotency_key is not None else None
        if kept is None:
            kept = make()
            self.keep_answer(request, kept)
        return kept

    def keep_answer(self, request: AdminRequest, kept: Kept) -> None:
        """Keep the answer to a request for its repetitions, and drop old ones."""
        self.connection.execute("DELETE FROM answered WHERE answered_at < %s", (request.now - ANSWERS_KEPT,))
        if request.idempotency_key is not None:
            body = msgspec.json.encode(kept.body).decode()
            self.connection.execute(
                "INSERT INTO answered (principal, idempotency_key, request_hash, status, answer, answered_at)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (request.principal, request.idempotency_key, request.digest(), kept.status, body, request.now),
            )

    def insert_fleet(self, fleet: Fleet) -> None:
        """Store a new fleet; ids are used once."""
        inserted = self.connection.execute(
            "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second, home_region, retention_days,"
            " device_type, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                fleet.fleet_id,
                fleet.events_per_second,
                fleet.rejects_per_second,
                fleet.home_region,
                fleet.retention_days,
                fleet.device_type,
                fleet.created_at,
            ),
        )
        if not inserted.rowcount:
            raise Refusal(409, "fleet_exists", f"There is a fleet {fleet.fleet_id} already.")

    def update_fleet(self, fleet: Fleet) -> None:
        """Store a changed fleet."""
        self.connection.execute(
            "UPDATE fleet SET events_per_second = %s, rejects_per_second = %s, home_region = %s, retention_days = %s,"
            " device_type = %s, archived_at = %s, version = %s WHERE fleet_id = %s",
            (
                fleet.events_per_second,
                fleet.rejects_per_second,
                fleet.home_region,
                fleet.retention_days,
                fleet.device_type,
                fleet.archived_at,
                fleet.version,
                fleet.fleet_id,
            ),
        )

    def insert_key(self, made: MadeKey) -> None:
        """Store a new key: the hash of its text, and never the text."""
        key = made.key
        self.connection.execute(
            "INSERT INTO api_key (key_id, fleet_id, role, secret_hash, created_at, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (key.key_id, key.fleet_id, key.role, made.secret_hash, key.created_at, key.expires_at),
        )

    def update_keys(self, keys: Sequence[ApiKey]) -> None:
        """Store changed keys."""
        self.connection.execute(
            "UPDATE api_key SET expires_at = changed.expires_at, revoked_at = changed.revoked_at,"
            " successor = changed.successor"
            " FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[])"
            " AS changed (key_id, expires_at, revoked_at, successor)"
            " WHERE api_key.key_id = changed.key_id",
            (
                [key.key_id for key in keys],
                [key.expires_at for key in keys],
                [key.revoked_at for key in keys],
                [key.successor for key in keys],
            ),
        )

    def append(self, acts: Sequence[Act]) -> None:
        """Write the audit entries of a change."""
        row = self.connection.execute("SELECT number, entry, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        last = Entry(row[0], row[1].encode(), row[2]) if row else None
        entries: list[Entry] = []
        for act in acts:
            last = write_entry(act, last)
            entries.append(last)
        self.connection.execute(
            "INSERT INTO audit (number, entry, hash) SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[])",
            (
                [each.number for each in entries],
                [each.text.decode() for each in entries],
                [each.hash for each in entries],
            ),
        )
