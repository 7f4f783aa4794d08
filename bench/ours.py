"""Our side: ingest's own handler, built as in a deployment from the environment that its template gives it.

`alone` measures it in this process, one request after the other as Lambda passes them. `serve` puts it behind HTTP.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.costs import ROUNDS, Cost, Costs, write_costs
from bench.front import serve
from bench.steps import Steps
from bench.workloads import WORKLOADS, Workload
from functions.ingest import handler as ingest
from sluice.edge.broker import Broker
from sluice.edge.ingest import accepting

#: The functions that ingest's module calls, by their names in the report.
STEPS = {
    "read request": (accepting, "read_request"),
    "authenticate": (accepting, "authenticate"),
    "split": (accepting, "split_body"),
    "judge": (accepting, "judge"),
    "produce": (Broker, "store"),
    "answer": (accepting, "answer_results"),
}


WORKER = ThreadPoolExecutor(max_workers=1)
"""As on Lambda, the process handles one request at a time."""


def gateway_event(key: str, body: str) -> dict[str, Any]:
    """Write a request as the gateway passes it to the function."""
    return {
        "version": "2.0",
        "routeKey": "POST /v1/events",
        "rawPath": "/v1/events",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "user-agent": "bench", "x-api-key": key},
        "requestContext": {
            "http": {"method": "POST", "path": "/v1/events", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.10"},
            "requestId": "Yk2nTh3xIAMEVrA=",
            "routeKey": "POST /v1/events",
            "stage": "$default",
            "timeEpoch": time.time_ns() // 1_000_000,
        },
        "body": body,
        "isBase64Encoded": False,
    }


def measure(key: str) -> Costs:
    """Measure the handler whole, and then once more step by step."""
    requests = {each: [gateway_event(key, body.decode()) for body in each.bodies()] for each in WORKLOADS}
    for workload, events in requests.items():
        _round(workload, events)  # connects, and fills the caches
    costs = {each.name: Cost() for each in WORKLOADS}
    for _ in range(ROUNDS):
        for workload, events in requests.items():
            costs[workload.name] = costs[workload.name].better(_round(workload, events))
    steps = Steps(STEPS)
    for _ in range(ROUNDS):
        for workload, events in requests.items():
            whole = _round(workload, events).cpu * workload.events / 1e6
            spent = {step: seconds / workload.events * 1e6 for step, seconds in steps.take(whole).items()}
            costs[workload.name] = costs[workload.name].better(Cost(steps=spent))
    return costs


def _round(workload: Workload, events: list[dict[str, Any]]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    answers = [ingest.handler(event, None) for event in events]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    for answer in answers:
        if answer["statusCode"] != 202:
            raise SystemExit(f"a request that should be accepted was answered {answer}")
    return Cost(cpu / workload.events * 1e6, wall / workload.batches * 1e3)


async def application(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
    """Stand in for the gateway."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    event = gateway_event(headers.get("x-api-key", ""), body.decode())
    # On a thread of its own: the handler runs the loop of its Kafka client, and no thread can run two.
    answer = await asyncio.get_running_loop().run_in_executor(WORKER, ingest.handler, event, None)
    await send(
        {
            "type": "http.response.start",
            "status": answer["statusCode"],
            "headers": [(name.encode(), value.encode()) for name, value in answer["headers"].items()],
        }
    )
    await send({"type": "http.response.body", "body": answer["body"].encode()})


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--key")
    arguments.add_argument("--alone", type=Path, help="measure the handler alone and write the costs to this file")
    arguments.add_argument("--serve", type=int, help="serve on this inherited socket")
    chosen = arguments.parse_args()
    if chosen.alone:
        write_costs(measure(chosen.key), chosen.alone)
    else:
        serve(application, chosen.serve)
