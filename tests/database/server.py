"""One real PostgreSQL for tests, and fresh databases on it at little cost."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from local.ports import Ports
from local.services import postgres
from local.supervisor import Supervisor
from sluice.edge.migrations import migrate

MIGRATIONS = Path(__file__).parents[2] / "functions" / "migrate" / "migrations"

_TEMPLATE = "migrated"


@dataclass(frozen=True)
class Databases:
    """A running server whose databases are copies of one that was migrated once."""

    server: postgres.Server
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def fresh(self, template: str = _TEMPLATE) -> Iterator[str]:
        """Give the DSN of a fresh database. At its end, open connections are terminated."""
        name = f"fresh_{next(self._numbers)}"
        # Without fsync, to copy its files takes a tenth of the time of writing each page to the log.
        self._administer("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        try:
            yield self.server.dsn(name)
        finally:
            self._administer("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Give the DSN of a database without any table, for tests that run migrations."""
        with self.fresh("template1") as dsn:
            yield dsn

    def prepare(self) -> None:
        """Apply all migrations to the database that the fresh ones are copied from.

        A server that is killed loses nothing without fsync: only a machine that fails does.
        """
        for setting in ("fsync", "full_page_writes"):
            self._administer(f"ALTER SYSTEM SET {setting} = off")
        self._administer("SELECT pg_reload_conf()")
        self._administer("CREATE DATABASE {}", _TEMPLATE)
        with psycopg.connect(self.server.dsn(_TEMPLATE), autocommit=True) as connection:
            migrate(connection, MIGRATIONS)

    def _administer(self, command: str, *names: str) -> None:
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(command).format(*map(sql.Identifier, names)))


@contextmanager
def serve() -> Iterator[Databases]:
    """Run a server for as long as the caller needs it; works as root as well."""
    logs = Path(tempfile.mkdtemp(prefix="sluice-database-"))
    root = os.geteuid() == 0
    home = postgres.borrow_directory() if root else logs / "server"
    try:
        place = postgres.borrowed_place(home) if root else postgres.own_place(home)
        # Its loop does not run between start and stop: a server that dies meanwhile fails the tests that use it.
        with Ports() as ports, asyncio.Runner() as runner:
            server = postgres.Server(place, ports.reserve())
            supervisor = runner.run(_start(server, logs))
            try:
                databases = Databases(server)
                databases.prepare()
                yield databases
            finally:
                runner.run(supervisor.stop())
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(logs)


async def _start(server: postgres.Server, logs: Path) -> Supervisor:
    supervisor = Supervisor(logs, lambda _message: None, lambda: None)
    await server.initialize(logs)
    await supervisor.start(server.program())
    return supervisor
