"""Databases for histories: copies of a template that has the schema and a clock of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg

from sluice.edge.migrations import migrate
from tests.database.server import MIGRATIONS, Databases
from tests.simulation.database import write_clock
from tests.simulation.timeline import BEGINS

TEMPLATE = "simulated"
WITHOUT_CARE = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")
"""A history ends before its machine could: nothing has to survive, and nothing works behind its back."""


class HistoryDatabases:
    """Gives each history a fresh database."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._server = databases.server
        self._numbers = count()
        if self._has_template():
            return
        for setting in WITHOUT_CARE:
            self._administer(f"ALTER SYSTEM SET {setting} = off")
        self._administer("SELECT pg_reload_conf()")
        self._administer(f"CREATE DATABASE {TEMPLATE}")
        with psycopg.connect(self._server.dsn(TEMPLATE), autocommit=True) as connection:
            connection.execute(write_clock(TEMPLATE, BEGINS).encode())
        with psycopg.connect(self._server.dsn(TEMPLATE), autocommit=True) as connection:
            migrate(connection, MIGRATIONS)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Give the DSN of a fresh database."""
        name = f"history_{os.getpid()}_{next(self._numbers)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        # A copy has no settings of its own: those of a database are kept beside it.
        self._administer(f"ALTER DATABASE {name} SET search_path = public, clock, pg_catalog")
        try:
            yield self._server.dsn(name)
        finally:
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _has_template(self) -> bool:
        """Return whether another process has made it: searches for seeded bugs share a server."""
        with psycopg.connect(self._server.dsn("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT true FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone()
        return found is not None

    def _administer(self, command: str) -> None:
        with psycopg.connect(self._server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(command.encode())
