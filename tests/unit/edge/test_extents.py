"""What a topic's partitions hold, asked of the brokers in one go."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sluice.core.errors import Retryable
from sluice.core.offsets import Extent
from sluice.edge.extents import ANSWER_SECONDS, LEAVE_ALONE_SECONDS, Extents
from sluice.edge.settings import BrokerSettings

SETTINGS = BrokerSettings(
    kafka_bootstrap="broker:9098", kafka_auth="iam", aws_region="us-east-1", produce_deadline_seconds=1
)


class Client:
    """A cluster with one topic."""

    def __init__(self, ends: dict[str, list[int]]) -> None:
        self.ends = ends
        self.asked = 0
        self.refuses: KafkaError | None = None
        self.unknown: KafkaError | None = None

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert timeout == ANSWER_SECONDS
        self.asked += 1
        partitions = dict.fromkeys(range(len(self.ends["latest"])))
        return SimpleNamespace(topics={topic: SimpleNamespace(error=self.unknown, partitions=partitions)})

    def list_offsets(self, wanted: dict[TopicPartition, Any], request_timeout: float) -> dict[TopicPartition, Any]:
        assert request_timeout == ANSWER_SECONDS
        futures = {}
        for place, spec in wanted.items():
            future: Future[Any] = Future()
            if self.refuses is not None:
                future.set_exception(KafkaException(self.refuses))
            else:
                name = type(spec).__name__.removesuffix("Spec").lower()
                future.set_result(SimpleNamespace(offset=self.ends[name][place.partition]))
            futures[place] = future
        return futures


def extents(client: Client, now: list[float]) -> Extents:
    return Extents(SETTINGS, "raw-events", lambda _: client, lambda: now[0])  # type: ignore[arg-type, return-value]


def test_every_partition_says_where_it_begins_and_ends() -> None:
    client = Client({"earliest": [0, 40], "latest": [7, 40]})
    assert extents(client, [0.0]).ask() == {0: Extent(0, 7), 1: Extent(40, 40)}


def test_the_client_shows_who_it_is() -> None:
    made: list[dict[str, Any]] = []

    def make(config: dict[str, Any]) -> Any:
        made.append(config)
        return Client({"earliest": [0], "latest": [0]})

    Extents(SETTINGS, "raw-events", make).ask()
    assert made[0]["bootstrap.servers"] == "broker:9098"
    assert (made[0]["security.protocol"], made[0]["sasl.mechanisms"]) == ("SASL_SSL", "OAUTHBEARER")


def test_brokers_that_do_not_answer_are_left_alone_for_a_moment() -> None:
    client, now = Client({"earliest": [0], "latest": [3]}), [100.0]
    asking = extents(client, now)
    client.refuses = KafkaError(KafkaError._TIMED_OUT)
    with pytest.raises(Retryable, match="do not say what raw-events holds"):
        asking.ask()
    client.refuses = None
    now[0] += LEAVE_ALONE_SECONDS / 2
    with pytest.raises(Retryable, match="a moment ago"):
        asking.ask()
    assert client.asked == 1
    now[0] += LEAVE_ALONE_SECONDS
    assert asking.ask() == {0: Extent(0, 3)}


def test_a_topic_nobody_knows_is_no_topic_without_partitions() -> None:
    client = Client({"earliest": [], "latest": []})
    client.unknown = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    with pytest.raises(Retryable):
        extents(client, [0.0]).ask()
