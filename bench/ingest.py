"""`make bench`: CPU time per event of ingest, from the request to the answer, beside a plain server doing the same job.

Both produce to the same topic of the same three brokers, and each is measured twice: the job alone, and behind the same
HTTP server. Figures of one run compare with each other; those of two runs, or of two machines, do not.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from confluent_kafka import Consumer, TopicPartition

from bench.costs import ROUNDS, Cost, Costs, cpu_seconds, read_costs
from bench.report import Report
from bench.services import Surroundings, running
from bench.table import report_comparison, report_ways
from bench.workloads import WORKLOADS, Workload
from local.answering import answers
from local.home import Home
from local.ports import Ports, address, port_of
from local.processes import ROOT, Program, StackError, run_once
from local.supervisor import Supervisor

SIDES = ("ours", "plain")
CONNECTIONS = 8
"""Requests in flight: a server that handles several at once gathers their records."""
LONGEST_SECONDS = 180


async def main() -> None:
    """Start, measure, end what was started, and print."""
    home = Home(ROOT / ".local" / "bench")
    with home.supervising():
        home.clear()
        home.logs.mkdir(exist_ok=True)
        home.state.mkdir()
        try:
            async with asyncio.timeout(LONGEST_SECONDS), running(home) as around:
                print("brokers, database and cache are up; measuring ...", flush=True)
                alone = {side: await _alone(side, around, home) for side in SIDES}
                served, brokers = await _served(around, home)
                ways = await _alone("producing", around, home, "--brokers", *map(str, around.brokers))
                await asyncio.to_thread(_check_stored, around)
        finally:
            home.clear()
    report = Report("ingest", 20)
    report_comparison(report, alone, served, brokers)
    report_ways(report, ways)
    report.end()


async def _alone(what: str, around: Surroundings, home: Home, *told: str) -> Costs:
    """Let a module measure its job in a process of its own."""
    costs = home.state / f"{what}.json"
    command = [sys.executable, "-m", f"bench.{what}", "--key", around.key, "--alone", str(costs), *told]
    await run_once(Program(f"{what}-alone", command, environment=around.environment), home.logs)
    return read_costs(costs)


async def _served(around: Surroundings, home: Home) -> tuple[dict[str, Costs], dict[str, Costs]]:
    """Post to both sides in turns; return their costs, and those of the brokers."""
    served = {side: {each.name: Cost() for each in WORKLOADS} for side in SIDES}
    brokers = {side: {each.name: Cost() for each in WORKLOADS} for side in SIDES}
    bodies = {each: each.bodies() for each in WORKLOADS}
    async with _servers(around, home) as servers, _session(around.key) as session:
        for url, _pid in servers.values():
            for workload in WORKLOADS:
                await _post(session, url, workload, bodies[workload])
        for _ in range(ROUNDS):
            for workload in WORKLOADS:
                for side, (url, pid) in servers.items():
                    began, brokers_began = cpu_seconds([pid]), cpu_seconds(around.brokers)
                    wall = await _post(session, url, workload, bodies[workload])
                    spent = Cost((cpu_seconds([pid]) - began) / workload.events * 1e6, wall)
                    of_brokers = Cost((cpu_seconds(around.brokers) - brokers_began) / workload.events * 1e6)
                    served[side][workload.name] = served[side][workload.name].better(spent)
                    brokers[side][workload.name] = brokers[side][workload.name].better(of_brokers)
    return served, brokers


@asynccontextmanager
async def _servers(around: Surroundings, home: Home) -> AsyncIterator[dict[str, tuple[str, int]]]:
    """Run both sides as servers: where each answers, and its process id."""
    supervisor = Supervisor(home.logs, lambda message: print(message, flush=True), lambda: None)
    with Ports() as ports:
        urls = {}
        try:
            for side in SIDES:
                listener = ports.listen()
                urls[side] = f"http://{address(port_of(listener))}/v1/events"
                command = [sys.executable, "-m", f"bench.{side}", "--key", around.key]
                command += ["--serve", str(listener.fileno())]
                await supervisor.start(
                    Program(
                        side,
                        command,
                        ready=partial(answers, listener),
                        environment=around.environment,
                        inherited=(listener.fileno(),),
                    )
                )
            yield {side: (url, supervisor.pids[side]) for side, url in urls.items()}
        finally:
            await supervisor.stop()


@asynccontextmanager
async def _session(key: str) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"x-api-key": key, "content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield session


async def _post(session: aiohttp.ClientSession, url: str, workload: Workload, bodies: list[bytes]) -> float:
    """Post a round; milliseconds per request, with several requests in flight."""

    async def post(body: bytes) -> None:
        async with session.post(url, data=body) as answer:
            said = await answer.text()
            if answer.status != 202 or said.count('"accepted"') != workload.size:
                raise StackError(f"a request that should be accepted was answered {answer.status}: {said}")

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for body in bodies:
            group.create_task(post(body))
    return (time.perf_counter() - began) / len(bodies) * 1e3


def _check_stored(around: Surroundings) -> None:
    """Fail unless every accepted event is in the topic once: the figures would mean nothing."""
    # Alone: one round to warm up, and ours is measured whole and by steps. Served: both warm up and are measured.
    rounds = (1 + 2 * ROUNDS) + (1 + ROUNDS) + 2 * (1 + ROUNDS)
    accepted = rounds * sum(workload.events for workload in WORKLOADS)
    topic = around.environment["RAW_EVENTS_TOPIC"]
    consumer = Consumer({"bootstrap.servers": around.environment["KAFKA_BOOTSTRAP"], "group.id": "bench"})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, each), timeout=10)[1] for each in partitions]
    finally:
        consumer.close()
    if sum(ends) != accepted:
        raise StackError(f"{accepted} events were accepted, but the topic holds {sum(ends)}")
    print(f"all {accepted} events that were accepted are stored, in {len(ends)} partitions")


if __name__ == "__main__":
    asyncio.run(main())
