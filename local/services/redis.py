"""A Redis server in cluster mode with a single node: what a serverless cache speaks, as small as it gets."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import redis.asyncio

from local.ports import LOOPBACK, address
from local.processes import Program, StackError

SLOTS = 16384


@dataclass(frozen=True)
class Installation:
    """Where the server is, and the libraries it needs when it was unpacked rather than installed."""

    executable: Path
    libraries: str = ""


def cache(installation: Installation, directory: Path, *, port: int, node_port: int) -> Program:
    """The cache: bounded, evicting only what has a time to live, and empty after a restart, as a cache may be."""
    directory.mkdir(parents=True)
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "cluster-enabled": "yes",
        "cluster-port": str(node_port),
        "cluster-announce-ip": LOOPBACK,
        "maxmemory": "256mb",
        "maxmemory-policy": "volatile-lru",
        "appendonly": "no",
        "save": "",
        "dir": str(directory),
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return Program(
        name="redis",
        command=[str(installation.executable), *options],
        ready=partial(_ready, port),
        environment={"LD_LIBRARY_PATH": installation.libraries} if installation.libraries else {},
    )


async def _ready(port: int, pid: int) -> bool:
    """Whether the server answers and owns every slot; a new one is given them, a restarted one remembers."""
    async with redis.asyncio.Redis(host=LOOPBACK, port=port, socket_timeout=2) as client:
        try:
            found = (await client.info("server"))["process_id"]
            if found != pid:
                raise StackError(f"{address(port)} is another Redis server, process {found}")
            state = await _cluster(client, "INFO")
            if int(state["cluster_slots_assigned"]) < SLOTS:
                await _cluster(client, "ADDSLOTSRANGE", 0, SLOTS - 1)
                return False
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, redis.exceptions.BusyLoadingError):
            return False
    return str(state["cluster_state"]) == "ok"


async def _cluster(client: redis.asyncio.Redis, command: str, *arguments: int) -> Any:
    # A plain client has no typed words for a cluster's commands, and a cluster client needs one that is complete.
    return await client.execute_command(f"CLUSTER {command}", *arguments)  # type: ignore[no-untyped-call]
