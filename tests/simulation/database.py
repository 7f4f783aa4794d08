"""The real PostgreSQL of a history: connections that may be lost at any statement, and time as the history has it.

A history has a database of its own, copied from a template. The template's functions of time are replaced by ones that
read a table, which follows the simulated clock; its chance follows from the seed.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from sluice.edge.settings import DatabaseSettings
from tests.simulation.world import World

DATABASE = "database"

_CLOCK = """
    CREATE SCHEMA clock;
    CREATE TABLE clock.moment (moment timestamptz NOT NULL);
    INSERT INTO clock.moment VALUES ('{moment}');
    GRANT USAGE ON SCHEMA clock TO PUBLIC;
    GRANT SELECT ON clock.moment TO PUBLIC;
    {functions}
    -- Chance that a seed repeats: numbers of a sequence, mixed.
    CREATE SEQUENCE clock.draws;
    GRANT USAGE ON SEQUENCE clock.draws TO PUBLIC;
    CREATE FUNCTION clock.random() RETURNS double precision LANGUAGE sql VOLATILE AS
        'SELECT (hashint8(nextval(''clock.draws''))::bigint + 2147483648) / 4294967296.0::double precision';
    -- Found before the server's own; what is created goes to the first of them.
    ALTER DATABASE {name} SET search_path = public, clock, pg_catalog;
"""
_FUNCTION = (
    "CREATE FUNCTION clock.{name}() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT moment FROM clock.moment';\n"
)
_FUNCTIONS = ("now", "statement_timestamp", "clock_timestamp", "transaction_timestamp")

STEP_SECONDS = 0.5
"""How far the database's clock may be behind: setting it is a statement."""


LOCK_MILLISECONDS = 25
"""How long a statement waits for a lock. Who has it waits too, in simulated time: it never comes."""
_WAITS = re.compile(r"(lock_timeout = )'\d+s'")


def _wait_shortly(query: str | bytes) -> str | bytes:
    """Let a statement that sets how long to wait for locks set it to no longer than that."""
    if isinstance(query, bytes):
        return _WAITS.sub(rf"\1'{LOCK_MILLISECONDS}ms'", query.decode()).encode() if b"lock_timeout" in query else query
    return _WAITS.sub(rf"\1'{LOCK_MILLISECONDS}ms'", query) if "lock_timeout" in query else query


def write_clock(name: str, moment: datetime) -> str:
    """Write the statements that give a database a clock of its own, before its schema is made."""
    functions = "".join(_FUNCTION.format(name=each) for each in _FUNCTIONS)
    return _CLOCK.format(name=name, moment=moment.isoformat(), functions=functions)


class HistoryDatabase:
    """The database of one history, and who is connected to it."""

    def __init__(self, world: World, dsn: str) -> None:
        self._world = world
        self._dsn = dsn
        self.owner = psycopg.connect(
            dsn, autocommit=True, options=f"-c timezone=UTC -c lock_timeout={LOCK_MILLISECONDS}"
        )
        self.owner.execute("SELECT setval('clock.draws', %s)", [1 + world.chance("database").randrange(10**9)])
        self._told = -STEP_SECONDS
        self._opened: list[SimulatedConnection] = []

    def connect(
        self, settings: DatabaseSettings, user: str | None, password: str | None, options: str | None = None
    ) -> "SimulatedConnection":
        """Open a connection for the running process, in place of the edge's own."""
        del settings, password
        connection = self._world.perform(DATABASE, "connect", lambda _: self._open(user, options), lost)
        invocation = self._world.invocation
        if invocation is not None:
            invocation.process.connections.append(connection)
        return connection

    def tell_time(self) -> None:
        """Set the database's clock, if the simulated one has moved on."""
        passed = self._world.timeline.passed
        if passed - self._told >= STEP_SECONDS:
            self._told = passed
            self.owner.execute("UPDATE clock.moment SET moment = %s", [self._world.timeline.now()])

    def close(self) -> None:
        """End every connection."""
        for connection in self._opened:
            connection.close()
        self.owner.close()

    def _open(self, user: str | None, options: str | None) -> "SimulatedConnection":
        options = f"{options or ''} -c lock_timeout={LOCK_MILLISECONDS}"
        connection = SimulatedConnection.connect(self._dsn, user=user, options=options, autocommit=True)
        connection.attach(self._world, self.tell_time)
        self._opened.append(connection)
        return connection


class SimulatedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements and commits are effects of the world."""

    _world: World
    _tell_time: Callable[[], None]

    def attach(self, world: World, tell_time: Callable[[], None]) -> None:
        """Let the world decide over it."""
        self._world = world
        self._tell_time = tell_time

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.pgconn.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

    def abort(self) -> None:
        """Lose it at once. The server has undone and unlocked everything when this returns."""
        if not self.closed:
            self.pgconn.exec_(b"ROLLBACK; SELECT pg_advisory_unlock_all()")
            self.pgconn.finish()

    def close(self) -> None:
        """Close it; its locks are free when this returns."""
        self.abort()
        super().close()

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Execute a statement, unless the connection is lost before it or at its answer."""
        self._tell_time()
        if isinstance(query, str | bytes):
            query = _wait_shortly(query)
        name = "statement" if self.is_in_transaction() else "statement alone"
        return self._perform(name, lambda: super(SimulatedConnection, self).execute(query, params, **options))

    @contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Any]:
        """Run a transaction; its commit is an effect."""
        if self.is_in_transaction():
            with super().transaction(savepoint_name, force_rollback) as nested:
                yield nested
            return
        transaction = super().transaction(savepoint_name, force_rollback)
        entered = transaction.__enter__()
        try:
            yield entered
        except BaseException:
            if not transaction.__exit__(*sys.exc_info()):
                raise
            return
        try:
            self._perform("commit", lambda: transaction.__exit__(None, None, None))
        except BaseException:
            if self.is_in_transaction():
                transaction.__exit__(*sys.exc_info())
            raise

    def _perform(self, effect: str, act: Callable[[], Any]) -> Any:
        def lose(kind: str) -> Exception:
            self.abort()
            return lost(kind)

        def act_and_tell(_: str | None) -> Any:
            done = act()
            if self._world.invocation is not None:
                function = self._world.invocation.process.function.name
                self._world.witness.note_statement(function, commits=not self.is_in_transaction())
            return done

        return self._world.perform(DATABASE, effect, act_and_tell, lose)


def ask_effectively(ask: Callable[..., bytes | None]) -> Callable[..., bytes | None]:
    """Make a question that goes past `execute` an effect too."""

    def ask_here(connection: SimulatedConnection, sql: str, *parameters: str) -> bytes | None:
        connection._tell_time()
        answer: bytes | None = connection._perform("question", lambda: ask(connection, sql, *parameters))
        return answer

    return ask_here


def lost(kind: str) -> psycopg.OperationalError:
    """Make the error of a connection that is gone."""
    return psycopg.OperationalError(f"server closed the connection unexpectedly ({kind})")
