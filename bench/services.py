"""The services that ingest needs: three real brokers, a database with a key, and a cache and an emulated S3 with it.

Topics, broker settings and the function's environment come from the templates of the baseline profile, as they do for
the local stack. Consumers and delivery are left out, so that nothing else loads the brokers.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from unittest import mock

import psycopg

from local import seed
from local.home import Home
from local.install import kafka_installation, redis_installation
from local.ports import LOOPBACK, Ports, address, port_of
from local.processes import ROOT
from local.resources import Plan, Services, broker_settings, brokers_needed, create_aws, create_topics, resolve
from local.resources.configure import lambdas
from local.services import aws, kafka, postgres, redis
from local.supervisor import Supervisor
from local.synthesis import REGION, STAGE, synthesize
from sluice.core.api.keys import KEYS
from sluice.edge.control.publishing import make_publisher
from sluice.edge.database import Database
from sluice.edge.migrations import migrate
from sluice.edge.settings import CacheSettings, ControlSettings

PROFILE = "baseline"
LONGEST_SECONDS = 10
MIGRATIONS = ROOT / "functions" / "migrate" / "migrations"


@dataclass(frozen=True)
class Surroundings:
    """The environment of a measured program, and the processes whose time is reported beside its own."""

    environment: Mapping[str, str]
    """The environment of ingest, from its template."""
    key: str
    brokers: Sequence[int]
    """Process ids."""


@asynccontextmanager
async def running(home: Home) -> AsyncIterator[Surroundings]:
    """Run the services. All of them end when this ends."""
    supervisor = Supervisor(home.logs, lambda message: print(message, flush=True), lambda: None)
    with Ports() as ports:
        try:
            yield await _start(home, ports, supervisor)
        finally:
            await supervisor.stop()


async def _start(home: Home, ports: Ports, supervisor: Supervisor) -> Surroundings:
    async with asyncio.TaskGroup() as group:
        synthesis = group.create_task(synthesize(home.state / "cdk.out", PROFILE, home.logs))
        database = group.create_task(start_database(home, ports, supervisor))
        cache = group.create_task(start_cache(home, ports, supervisor))
        emulated = group.create_task(start_aws(ports, supervisor))
    assembly = synthesis.result()
    nodes = kafka.new_nodes(brokers_needed(assembly), ports)
    brokers = kafka.Cluster(kafka_installation(), home.state / "kafka", nodes, broker_settings(assembly))
    stores = database.result(), cache.result(), emulated.result()
    plan = resolve(assembly, name_services(home, brokers.bootstrap, *stores))
    await brokers.format(home.logs)
    async with asyncio.TaskGroup() as group:
        for broker in brokers.programs():
            group.create_task(supervisor.start(broker))
        key = group.create_task(_fill_database(database.result(), plan))
    await asyncio.to_thread(create_topics, plan)
    return Surroundings(
        environment=environment_of("ingest", plan),
        key=key.result(),
        brokers=[supervisor.pids[node.name] for node in nodes],
    )


def name_services(
    home: Home, kafka_bootstrap: str, database: postgres.Server, cache_port: int, emulated: str
) -> Services:
    """Give the running services to the templates; no template asks for the others."""
    return Services(
        kafka=kafka_bootstrap,
        database_host=LOOPBACK,
        database_port=database.port,
        cache_host=LOOPBACK,
        cache_port=cache_port,
        aws=emulated,
        lambdas="",
        directory="",
        receivers="",
        http_api="",
        firehose="",
        athena="",
        state=home.state,
        region=REGION,
    )


async def start_database(
    home: Home, ports: Ports, supervisor: Supervisor, settings: Mapping[str, str] | None = None
) -> postgres.Server:
    """Start a server, with some settings other than its own."""
    if os.geteuid() == 0:
        borrowed = postgres.borrow_directory()
        home.borrow(borrowed)
        place = await asyncio.to_thread(postgres.borrowed_place, borrowed)
    else:
        place = postgres.own_place(home.state / "database")
    server = postgres.Server(place, ports.reserve())
    await server.initialize(home.logs)
    with (server.place.data / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in (settings or {}).items())
    await supervisor.start(server.program())
    return server


async def start_cache(home: Home, ports: Ports, supervisor: Supervisor) -> int:
    """Start a cache, and return its port."""
    port, node_port = ports.reserve(), ports.reserve()
    await supervisor.start(redis.cache(redis_installation(), home.state / "cache", port=port, node_port=node_port))
    return port


async def start_aws(ports: Ports, supervisor: Supervisor) -> str:
    """Start the emulation of S3, and return its address."""
    listener = ports.listen()
    # No state machine runs here.
    lambdas = f"http://{address(ports.reserve())}"
    await supervisor.start(aws.emulation(listener, lambdas))
    return f"http://{address(port_of(listener))}"


def publish_keys(plan: Plan, database: str) -> None:
    """Publish the keys of a database, as publish does."""
    create_aws(plan)
    settings = environment_of("publish", plan)
    with mock.patch.dict("os.environ", settings):
        store = Database(partial(psycopg.connect, database, autocommit=True), LONGEST_SECONDS)
        places = ControlSettings.from_environ(settings), CacheSettings.from_environ(settings)
        make_publisher(store, *places).publish(KEYS, datetime.now(UTC))


async def _fill_database(server: postgres.Server, plan: Plan) -> str:
    (name,) = plan.databases
    await server.create(name)
    return await asyncio.to_thread(_migrate_and_seed, plan, server.dsn(name))


def _migrate_and_seed(plan: Plan, database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        migrate(connection, MIGRATIONS)
        connection.execute(
            "INSERT INTO fleet (fleet_id, events_per_second) VALUES (%s, %s)", (seed.FLEET, seed.EVENTS_PER_SECOND)
        )
        key = seed.insert_key(connection, STAGE, seed.FLEET, "device")
    publish_keys(plan, database)
    return key


def environment_of(function: str, plan: Plan) -> dict[str, str]:
    """Return a function's environment from its template."""
    (found,) = (each for each in lambdas(plan).functions if each.name.endswith(f"-{function}"))
    return {"AWS_REGION": REGION, **found.environment}
