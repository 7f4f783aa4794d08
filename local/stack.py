"""The stack: what is started, in which order, and how the running whole is described."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from local import seed
from local.admin import Admin
from local.answering import answers
from local.description import names_in
from local.home import Home
from local.install import kafka_installation, redis_installation
from local.overrides import WORKERS_PER_FUNCTION
from local.ports import LOOPBACK, Ports, address, port_of
from local.processes import Program, StackError
from local.resources import (
    Plan,
    Services,
    broker_settings,
    brokers_needed,
    check,
    create_aws,
    create_topics,
    resolve,
    write_configs,
)
from local.resources.principals import purpose
from local.services import aws, directory, kafka, postgres, receivers, redis
from local.supervisor import Supervisor
from local.synthesis import REGION, synthesize
from local.template import Assembly

#: Processes of our own; each inherits its socket, and we keep it over their restarts.
OWN = (
    "aws",
    "lambdas",
    "http_api",
    "event_source",
    "firehose",
    "athena",
    "scheduler",
    "broker_metrics",
    "queue_source",
    "directory",
    "receivers",
)


class Stack:
    """One local stack, from nothing to healthy and to its end."""

    def __init__(self, home: Home, profile: str, ports: Ports, report: Callable[[str], None]) -> None:
        self._home = home
        self._profile = profile
        self._ports = ports
        self._report = report
        self._listeners = {name: ports.listen() for name in OWN}
        self._cache_port = ports.reserve()
        self._supervisor = Supervisor(home.logs, report, self._publish)
        self._described: dict[str, Any] = {}

    async def run(self) -> None:
        """Start the stack and keep it running until we are cancelled or it cannot go on."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervisor.failed())
                self._described = await self._start()
                self._publish()
                self._report(f"the stack is healthy: {self._described['api']}")
        finally:
            self._home.withdraw()
            await self._supervisor.stop()

    async def _start(self) -> dict[str, Any]:
        async with asyncio.TaskGroup() as group:
            synthesis = group.create_task(synthesize(self._home.state / "cdk.out", self._profile, self._home.logs))
            database = group.create_task(self._start_database())
            group.create_task(self._start_cache())
            guard = self._home.state / "models" / "guard.json"
            emulation = aws.emulation(self._listeners["aws"], self._url("lambdas"), guard)
            group.create_task(self._supervisor.start(emulation))
            group.create_task(self._supervisor.start(directory.directory(self._listeners["directory"])))
            group.create_task(self._supervisor.start(receivers.receivers(self._listeners["receivers"])))
        assembly = synthesis.result()
        check(assembly)
        self._report("templates synthesized; database, cache and AWS emulation are up")

        brokers = self._brokers(assembly)
        plan = resolve(assembly, self._services(brokers, database.result()))
        configs = write_configs(plan, self._home.state / "models")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_brokers(brokers, plan))
            group.create_task(self._start_functions(plan, database.result(), configs))
            group.create_task(self._start_model("http_api", configs["http_api"]))
            group.create_task(self._start_model("athena", configs["athena"]))
        self._report("brokers, functions, delivery and API are up; the database is migrated")

        keys = await asyncio.to_thread(seed.seed, self._admin(plan))
        await self._start_model("broker_metrics", configs["broker_metrics"])
        await self._start_model("event_source", configs["event_source"])
        await self._start_model("queue_source", configs["queue_source"])
        await self._start_model("scheduler", configs["scheduler"])
        await self._warm(keys["device"])
        return self._describe(plan, database.result(), keys)

    async def _start_database(self) -> postgres.Server:
        if os.geteuid() == 0:
            borrowed = postgres.borrow_directory()
            self._home.borrow(borrowed)
            place = await asyncio.to_thread(postgres.borrowed_place, borrowed)
        else:
            place = postgres.own_place(self._home.state / "database")
        server = postgres.Server(place, self._ports.reserve())
        await server.initialize(self._home.logs)
        await self._supervisor.start(server.program())
        return server

    async def _start_cache(self) -> None:
        port, node_port = self._cache_port, self._ports.reserve()
        program = redis.cache(redis_installation(), self._home.state / "cache", port=port, node_port=node_port)
        await self._supervisor.start(program)

    def _brokers(self, assembly: Assembly) -> kafka.Cluster:
        nodes = kafka.new_nodes(brokers_needed(assembly), self._ports)
        return kafka.Cluster(kafka_installation(), self._home.state / "kafka", nodes, broker_settings(assembly))

    async def _start_brokers(self, brokers: kafka.Cluster, plan: Plan) -> None:
        await brokers.format(self._home.logs)
        async with asyncio.TaskGroup() as group:
            for broker in brokers.programs():
                group.create_task(self._supervisor.start(broker))
        await asyncio.to_thread(create_topics, plan)
        # Deployed brokers have run for months; these compile their code while they store their first records.
        await asyncio.to_thread(kafka.warm, brokers.bootstrap)

    async def _start_functions(self, plan: Plan, database: postgres.Server, configs: Mapping[str, Path]) -> None:
        await asyncio.to_thread(create_aws, plan)
        for name in plan.databases:
            await database.create(name)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_model("lambdas", configs["lambdas"]))
            group.create_task(self._start_model("firehose", configs["firehose"]))
        for function in plan.triggers:
            await self._invoke(function)

    def _admin(self, plan: Plan) -> Admin:
        (login,) = (each.keys[0] for each in plan.principals if purpose(each.role) == "admin")
        return Admin(self._url("http_api"), REGION, login.access_key, login.secret_key)

    async def _start_model(self, name: str, config: Path) -> None:
        listener = self._listeners[name]
        command = [sys.executable, "-m", f"local.models.{name}"]
        command += ["--fd", str(listener.fileno()), "--config", str(config)]
        model = Program(name, command, ready=partial(answers, listener), inherited=(listener.fileno(),))
        await self._supervisor.start(model)

    async def _invoke(self, function: str) -> None:
        """Run a function once, as the deployment's trigger does; what it says about a failure ends the start."""
        url = f"{self._url('lambdas')}/2015-03-31/functions/{function}/invocations"
        async with aiohttp.ClientSession() as session, session.post(url, data=b"{}") as answer:
            said = await answer.text()
            if answer.status != 200 or "X-Amz-Function-Error" in answer.headers:
                raise StackError(f"{function} failed when the start invoked it: {said}")

    async def _warm(self, key: str) -> None:
        """Post what is refused without a trace, to every worker at once: proof that the API reaches a function.

        Each worker has then built its parts and read the keys; to the brokers it connects with the first event, which
        would have to be made up.
        """
        async with aiohttp.ClientSession(headers={"x-api-key": key}) as session:
            await asyncio.gather(*(self._expect_refusal(session) for _ in range(WORKERS_PER_FUNCTION)))

    async def _expect_refusal(self, session: aiohttp.ClientSession) -> None:
        async with session.post(f"{self._url('http_api')}/v1/events", json=[]) as answer:
            said = await answer.text()
            if answer.status != 400 or "empty_batch" not in said:
                raise StackError(
                    f"a request without events was answered {answer.status}, not 400: {said}\n"
                    f"What the functions logged is in {self._home.state / 'lambdas'}."
                )

    def _services(self, brokers: kafka.Cluster, database: postgres.Server) -> Services:
        return Services(
            kafka=brokers.bootstrap,
            database_host=LOOPBACK,
            database_port=database.port,
            cache_host=LOOPBACK,
            cache_port=self._cache_port,
            aws=self._url("aws"),
            lambdas=self._url("lambdas"),
            http_api=self._url("http_api"),
            firehose=self._url("firehose"),
            athena=self._url("athena"),
            directory=self._url("directory"),
            receivers=address(port_of(self._listeners["receivers"])),
            state=self._home.state,
            region=REGION,
        )

    def _url(self, name: str) -> str:
        return f"http://{address(port_of(self._listeners[name]))}"

    def _describe(self, plan: Plan, database: postgres.Server, keys: dict[str, str]) -> dict[str, Any]:
        return {
            "profile": self._profile,
            "api": self._url("http_api"),
            "broker": plan.services.kafka,
            "database": database.dsn(plan.databases[0]),
            "cache": f"redis://{address(self._cache_port)}",
            **{name: self._url(name) for name in OWN if name != "http_api"},
            **names_in(plan),
            "fleet": seed.FLEET,
            "keys": keys,
        }

    def _publish(self) -> None:
        if self._described:
            self._home.publish({**self._described, "pids": {"supervisor": os.getpid(), **self._supervisor.pids}})
