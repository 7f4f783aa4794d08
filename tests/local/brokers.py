"""Three real brokers for the tests of producing: frozen, killed, and behind tokens that expire, as on MSK."""

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, not declared

from local.install import install, kafka_installation
from local.ports import Ports, address
from local.services import kafka
from local.supervisor import Supervisor

NODES, PARTITIONS = 3, 6
ENOUGH_SECONDS = 20.0
TOKEN_SECONDS, SESSION_MS = 4, 3000
CLAIM = 'unsecuredLoginStringClaim_sub="broker"'
UNSECURED = "org.apache.kafka.common.security.oauthbearer"


@dataclass(frozen=True)
class Guarded(kafka.Cluster):
    """Brokers with one more listener, which accepts tokens. It checks their expiry, not their signature."""

    guarded_ports: tuple[int, ...] = ()

    def properties(self, node: kafka.Node) -> dict[str, str]:
        found = super().properties(node)
        listener = f"GUARDED://{address(self.guarded_ports[self.nodes.index(node)])}"
        door = "listener.name.guarded.oauthbearer"
        return {
            **found,
            "listeners": f"{found['listeners']},{listener}",
            "advertised.listeners": f"{found['advertised.listeners']},{listener}",
            "listener.security.protocol.map": f"{found['listener.security.protocol.map']},GUARDED:SASL_PLAINTEXT",
            "listener.name.guarded.sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{door}.sasl.jaas.config": f"{UNSECURED}.OAuthBearerLoginModule required {CLAIM};",
            f"{door}.sasl.server.callback.handler.class": (
                f"{UNSECURED}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
            ),
            f"{door}.connections.max.reauth.ms": str(SESSION_MS),
        }


@dataclass(frozen=True)
class Brokers:
    """Three brokers, with and without a guarded listener, and topics on them."""

    bootstrap: str
    guarded: str
    supervisor: Supervisor
    names: tuple[str, ...]
    numbers: Iterator[int]
    runner: asyncio.Runner

    def make_topic(self) -> str:
        """Make a topic for one test."""
        topic = f"produced-{next(self.numbers)}"
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        made = admin.create_topics([NewTopic(topic, PARTITIONS, 3, config={"min.insync.replicas": "2"})])
        made[topic].result(30)
        return topic

    def read(self, topic: str) -> dict[int, list[tuple[bytes, bytes]]]:
        """Read all that a topic holds, by partition."""
        options = {"bootstrap.servers": self.bootstrap, "group.id": "reader", "enable.auto.commit": False}
        found: dict[int, list[tuple[bytes, bytes]]] = {number: [] for number in range(PARTITIONS)}
        with closing(Consumer(options)) as consumer:
            ends = {number: _end(consumer, TopicPartition(topic, number)) for number in found}
            consumer.assign([TopicPartition(topic, number, 0) for number in found])
            while any(len(found[number]) < end for number, end in ends.items()):
                for message in consumer.consume(1000, timeout=1):
                    assert message.error() is None
                    found[message.partition() or 0].append((bytes(message.key() or b""), bytes(message.value() or b"")))
        return found

    @contextmanager
    def one_killed(self) -> Iterator[None]:
        """Kill a broker, and start it again afterwards."""
        name = self.names[0]
        pid = self.supervisor.pids[name]
        os.kill(pid, signal.SIGKILL)
        try:
            yield
        finally:
            self.runner.run(self._until_restarted(name, pid))

    async def _until_restarted(self, name: str, killed: int) -> None:
        while self.supervisor.pids.get(name, killed) == killed:
            await asyncio.sleep(0.1)

    @contextmanager
    def frozen(self, number: int = NODES) -> Iterator[None]:
        """Stop some brokers, by default all, with their connections open."""
        pids = [self.supervisor.pids[name] for name in self.names[:number]]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def running(logs: Path) -> Iterator[Brokers]:
    """Run the brokers."""
    install()
    with Ports() as ports, asyncio.Runner() as runner:
        doors = tuple(ports.reserve() for _ in range(NODES))
        cluster = Guarded(kafka_installation(), logs / "kafka", kafka.new_nodes(NODES, ports), guarded_ports=doors)

        async def start() -> Supervisor:
            supervisor = Supervisor(logs, lambda _message: None, lambda: None)
            await cluster.format(logs)
            async with asyncio.TaskGroup() as group:
                for program in cluster.programs():
                    group.create_task(supervisor.start(program))
            return supervisor

        supervisor = runner.run(start())
        try:
            names = tuple(node.name for node in cluster.nodes)
            guarded = ",".join(address(door) for door in doors)
            yield Brokers(cluster.bootstrap, guarded, supervisor, names, count(), runner)
        finally:
            runner.run(supervisor.stop())


def _end(consumer: Consumer, place: TopicPartition) -> int:
    """The end of a partition; a broker that was just frozen or restarted may not know of the topic yet."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while True:
        try:
            return int(consumer.get_watermark_offsets(place, timeout=ENOUGH_SECONDS)[1])
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNKNOWN_PARTITION or time.monotonic() > deadline:
                raise
            # Otherwise the client goes on with what that broker said.
            consumer.list_topics(place.topic, timeout=ENOUGH_SECONDS)
            time.sleep(0.1)


class Signer:
    """Signs tokens that are valid for some seconds, or expired."""

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = TOKEN_SECONDS

    def sign(self) -> str:
        self.tokens += 1
        now = time.time()
        claims = {"sub": "ingest", "iat": now - 60, "exp": now + self.seconds}
        return f"{_pack({'alg': 'none'})}.{_pack(claims)}."


def _pack(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
