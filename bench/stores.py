"""What the numbers need around them, for real: a migrated database and a cache of their own."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.costs import family_seconds
from bench.services import MIGRATIONS, PROFILE, environment_of, name_services, start_aws, start_cache, start_database
from local.home import Home
from local.ports import LOOPBACK, Ports
from local.processes import ROOT
from local.resources import Plan, resolve
from local.services import postgres
from local.supervisor import Supervisor
from local.synthesis import REGION, synthesize
from sluice.edge.migrations import migrate
from sluice.edge.settings import DatabaseSettings

SETTINGS = {
    # An instance gives a quarter of its memory to this; what is measured fits in it, as the hours that are worked on do
    # in the instance's.
    "shared_buffers": "1GB",
    # With less, the tables that are filled here in a minute would be written out as often as on an instance in an hour.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    # It would run at random, between two rounds or during one.
    "autovacuum": "off",
}

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Stores:
    """Where the stores are, and the processes whose time is reported beside the measured program's."""

    server: postgres.Server
    name: str
    """Of the database."""
    plan: Plan
    database_pid: int
    cache_pid: int

    def connect(self) -> Connection:
        """Open a connection as the owner, to fill and to read tables."""
        connection = psycopg.connect(self.server.dsn(self.name), autocommit=True)
        # What is filled is made up, and can be made up again.
        connection.execute("SET synchronous_commit = off")
        return connection

    def environment(self, function: str) -> Mapping[str, str]:
        """Return a function's environment from its template."""
        return environment_of(function, self.plan)

    def login(self, function: str) -> DatabaseSettings:
        """Name the database for a function that is not built as a whole."""
        return DatabaseSettings(LOOPBACK, self.server.port, self.name, f"sluice_{function}", "none", REGION)

    def database_seconds(self) -> float:
        """CPU time that the whole server has used, for every connection and for its own work."""
        return family_seconds(self.database_pid)


@contextmanager
def running() -> Iterator[Stores]:
    """Run both. When this ends, they end and their data is deleted."""
    home = Home(ROOT / ".local" / "bench")
    with home.supervising():
        home.clear()
        home.logs.mkdir(exist_ok=True)
        home.state.mkdir()
        # Its loop does not run while we measure: a store that dies meanwhile fails the measurement.
        try:
            with Ports() as ports, asyncio.Runner() as runner:
                supervisor = runner.run(_make_supervisor(home))
                try:
                    yield runner.run(_start(home, ports, supervisor))
                finally:
                    runner.run(supervisor.stop())
        finally:
            home.clear()


async def _make_supervisor(home: Home) -> Supervisor:
    return Supervisor(home.logs, lambda message: print(message, flush=True), lambda: None)


async def _start(home: Home, ports: Ports, supervisor: Supervisor) -> Stores:
    async with asyncio.TaskGroup() as group:
        synthesis = group.create_task(synthesize(home.state / "cdk.out", PROFILE, home.logs))
        starting = group.create_task(start_database(home, ports, supervisor, SETTINGS))
        cache = group.create_task(start_cache(home, ports, supervisor))
        emulated = group.create_task(start_aws(ports, supervisor))
    server = starting.result()
    plan = resolve(synthesis.result(), name_services(home, "", server, cache.result(), emulated.result()))
    (name,) = plan.databases
    await server.create(name)
    stores = Stores(server, name, plan, supervisor.pids["postgres"], supervisor.pids["redis"])
    with stores.connect() as connection:
        migrate(connection, MIGRATIONS)
    return stores


def measure_size(connection: Connection, partitions: Iterable[str]) -> int:
    """Return how many bytes partitions take, with their indexes and TOAST tables."""
    found = connection.execute(
        "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest(%s::text[]) AS names (name)",
        [list(partitions)],
    ).fetchone()
    return int(found[0]) if found else 0
