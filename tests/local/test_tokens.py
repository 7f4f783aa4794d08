"""Our producer before a broker that wants tokens and lets connections live for seconds, as MSK does for hours."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, not declared

from local.install import install, kafka_installation
from local.ports import Ports, address
from local.services import kafka
from local.supervisor import Supervisor
from sluice.core.messages import Message
from sluice.edge.broker import Broker
from sluice.edge.kafka_client import KafkaClient
from sluice.edge.settings import BrokerSettings

TOPIC, DEADLINE = "raw-events", 3
RECORDS = 6
TOKEN_SECONDS, SESSION_MS = 4, 3000
CLAIM = 'unsecuredLoginStringClaim_sub="broker"'
UNSECURED = "org.apache.kafka.common.security.oauthbearer"


@dataclass(frozen=True)
class Guarded(kafka.Cluster):
    """A broker with one more listener, which accepts tokens. It checks their expiry, not their signature."""

    port: int = 0

    def properties(self, node: kafka.Node) -> dict[str, str]:
        found = super().properties(node)
        door = "listener.name.guarded.oauthbearer"
        return {
            **found,
            "listeners": f"{found['listeners']},GUARDED://{address(self.port)}",
            "advertised.listeners": f"{found['advertised.listeners']},GUARDED://{address(self.port)}",
            "listener.security.protocol.map": f"{found['listener.security.protocol.map']},GUARDED:SASL_PLAINTEXT",
            "listener.name.guarded.sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{door}.sasl.jaas.config": f"{UNSECURED}.OAuthBearerLoginModule required {CLAIM};",
            f"{door}.sasl.server.callback.handler.class": (
                f"{UNSECURED}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
            ),
            f"{door}.connections.max.reauth.ms": str(SESSION_MS),
        }


@contextmanager
def guarded(logs: Path) -> Iterator[str]:
    """Run one such broker with the topic, and return the address of its token listener."""
    install()
    with Ports() as ports, asyncio.Runner() as runner:
        port = ports.reserve()
        cluster = Guarded(kafka_installation(), logs / "kafka", kafka.new_nodes(1, ports), port=port)

        async def start() -> Supervisor:
            supervisor = Supervisor(logs, lambda _message: None, lambda: None)
            await cluster.format(logs)
            for program in cluster.programs():
                await supervisor.start(program)
            return supervisor

        supervisor = runner.run(start())
        try:
            admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
            admin.create_topics([NewTopic(TOPIC, 3, 1)])[TOPIC].result(30)
            yield address(port)
        finally:
            runner.run(supervisor.stop())


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


@pytest.mark.shows_fault(
    part="producer",
    fault="token expired",
    expected="a new one is signed and no client notices; without a valid one, nothing is acknowledged or accepted",
)
def test_expired_tokens_are_replaced_and_without_a_valid_one_nothing_is_accepted(
    tmp_path: Path,
) -> None:
    signer = Signer()
    clients = ExitStack()

    def plain(settings: BrokerSettings) -> KafkaClient:
        clients.pop_all()
        return clients.enter_context(closing(KafkaClient(settings.kafka_bootstrap, signer.sign, "SASL_PLAINTEXT")))

    with guarded(tmp_path) as door, clients:
        ours = Broker(BrokerSettings(door, "iam", "us-east-1", DEADLINE), plain)
        store = partial(_store, ours)
        # Longer than a token lasts, and than a connection may: both are renewed and no caller notices.
        end = time.monotonic() + 3 * TOKEN_SECONDS
        while time.monotonic() < end:
            assert store() == RECORDS
            time.sleep(0.2)
        assert signer.tokens > 2
        signer.seconds = -1
        _wait_until(lambda: store() == 0)
        assert [store() for _ in range(3)] == [0, 0, 0]
        signer.seconds = TOKEN_SECONDS
        _wait_until(lambda: store() == RECORDS)


def _store(ours: Broker) -> int:
    """Store some records and say how many were acknowledged."""
    records = [Message(TOPIC, str(number).encode(), b"{}") for number in range(RECORDS)]
    return ours.store(records).count(None)


def _wait_until(true: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
