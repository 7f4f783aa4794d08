"""The other side: what one would write first, with FastAPI, jsonschema and aiokafka.

It keeps the same contracts and gives the same promise: an event is accepted once at least two replicas have it, and
each event has its own answer. It does less otherwise: it does not keep an event's bytes as sent, and has no limits
except on sizes, no quotas, no metrics, and one hard-coded key.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from bench.costs import ROUNDS, Cost, Costs, write_costs
from bench.front import serve
from bench.workloads import WORKLOADS, Workload

SCHEMAS = Path(__file__).parent.parent / "schemas" / "telemetry"
MAX_BODY, MAX_EVENT, MAX_EVENTS = 1024 * 1024, 32 * 1024, 100
AHEAD, LATE = timedelta(minutes=5), timedelta(hours=1)


class Refused(Exception):
    """A request that gets an error as its whole answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Plain:
    """The whole job, but for HTTP."""

    def __init__(self, key: str, producer: Any, topic: str) -> None:
        self._key_hash = hashlib.sha256(key.encode()).hexdigest()
        self._producer = producer
        self._topic = topic
        schemas = [json.loads(path.read_bytes()) for path in SCHEMAS.glob("*.json")]
        self._contracts = {
            schema["x-firmware-major"]: (schema["x-version"], jsonschema.Draft7Validator(schema)) for schema in schemas
        }

    async def take(self, key: str, body: bytes) -> list[dict[str, Any]]:
        """Answer each event of a request."""
        if not hmac.compare_digest(hashlib.sha256(key.encode()).hexdigest(), self._key_hash):
            raise Refused(401, "unknown key")
        if len(body) > MAX_BODY:
            raise Refused(413, "body too large")
        try:
            events = json.loads(body)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        if not isinstance(events, list):
            events = [events]
        if len(events) > MAX_EVENTS:
            raise Refused(413, "too many events")
        results: list[dict[str, Any]] = []
        sent = []
        for index, event in enumerate(events):
            result = {"index": index, "event_id": event.get("event_id"), "status": "accepted"}
            results.append(result)
            try:
                key_bytes, value, header = self._judge(event)
            except ValueError as error:
                result |= {"status": "rejected", "error": {"code": "contract_violation", "message": str(error)}}
                continue
            report = await self._producer.send(self._topic, key=key_bytes, value=value, headers=[("plain", header)])
            sent.append((result, report))
        reports = await asyncio.gather(*(report for _, report in sent), return_exceptions=True)
        for (result, _), report in zip(sent, reports, strict=True):
            if isinstance(report, KafkaError):
                result |= {"status": "retry", "error": {"code": "not_stored", "message": str(report)}}
            elif isinstance(report, BaseException):
                raise report
        return results

    def _judge(self, event: Any) -> tuple[bytes, bytes, bytes]:
        major = str(event.get("device_firmware_version", "")).partition(".")[0]
        version, contract = self._contracts.get(int(major) if major.isdigit() else -1, (None, None))
        if contract is None:
            raise ValueError(f"no schema for firmware {major}")
        if errors := list(contract.iter_errors(event)):
            raise ValueError("; ".join(error.message for error in errors))
        value = json.dumps(event, separators=(",", ":")).encode()
        if len(value) > MAX_EVENT:
            raise ValueError("event too large")
        received_at = datetime.now(UTC)
        event_time = datetime.fromisoformat(event["timestamp"])
        flags = ["clock_ahead"] if event_time - received_at > AHEAD else []
        flags += ["late_arrival"] if received_at - event_time > LATE else []
        envelope = [1, received_at.isoformat(), "demo", "telemetry", version, flags, "Yk2nTh3xIAMEVrA="]
        return event["device_id"].encode(), value, json.dumps(envelope, separators=(",", ":")).encode()


@asynccontextmanager
async def plain(key: str) -> AsyncIterator[Plain]:
    """Build it with a connected producer."""
    async with AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"], acks="all", enable_idempotence=True
    ) as producer:
        yield Plain(key, producer, os.environ["RAW_EVENTS_TOPIC"])


def application(key: str) -> FastAPI:
    """Put it behind HTTP."""
    parts: dict[str, Plain] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with plain(key) as parts["plain"]:
            yield

    async def take(request: Request) -> JSONResponse:
        try:
            results = await parts["plain"].take(request.headers.get("x-api-key", ""), await request.body())
        except Refused as refused:
            return JSONResponse({"detail": str(refused)}, refused.status)
        statuses = {result["status"] for result in results}
        return JSONResponse({"results": results}, 202 if statuses == {"accepted"} else 207)

    app = FastAPI(lifespan=lifespan)
    app.add_api_route("/v1/events", take, methods=["POST"], response_model=None)
    return app


async def measure(key: str) -> Costs:
    """Measure the job without HTTP, one request after the other."""
    bodies = {each: each.bodies() for each in WORKLOADS}
    costs = {each.name: Cost() for each in WORKLOADS}
    async with plain(key) as server:
        for workload in WORKLOADS:
            await _round(server, key, workload, bodies[workload])
        for _ in range(ROUNDS):
            for workload in WORKLOADS:
                cost = await _round(server, key, workload, bodies[workload])
                costs[workload.name] = costs[workload.name].better(cost)
    return costs


async def _round(server: Plain, key: str, workload: Workload, bodies: list[bytes]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    answers = [json.dumps({"results": await server.take(key, body)}) for body in bodies]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    for answer in answers:
        if answer.count('"accepted"') != workload.size:
            raise SystemExit(f"a request that should be accepted was answered {answer}")
    return Cost(cpu / workload.events * 1e6, wall / workload.batches * 1e3)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--key")
    arguments.add_argument("--alone", type=Path, help="measure the job alone and write the costs to this file")
    arguments.add_argument("--serve", type=int, help="serve on this inherited socket")
    chosen = arguments.parse_args()
    if chosen.alone:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            write_costs(runner.run(measure(chosen.key)), chosen.alone)
    else:
        serve(application(chosen.key), chosen.serve)
