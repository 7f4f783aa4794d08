"""What the brokers say about a topic's offsets. A missing answer is not taken for one."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sluice.core.errors import Retryable
from sluice.core.offsets import Extent
from sluice.edge.settings import BrokerSettings
from sluice.edge.topic_offsets import ANSWER_SECONDS, TopicOffsets

SETTINGS = BrokerSettings("broker:9098", "iam", "us-east-1", 1)
MOMENT = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)
BEGINNING, END = -2, -1


class Client:
    """A cluster with one topic: by moment the offsets that are found, and what a group has committed."""

    def __init__(self, found: dict[int, list[int]], committed: list[int]) -> None:
        self.found = found
        self.offsets = committed
        self.config: dict[str, Any] = {}
        self.refuses: KafkaError | None = None
        self.broken: KafkaError | None = None
        self.unknown: KafkaError | None = None

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert timeout == ANSWER_SECONDS
        partitions = dict.fromkeys(range(len(self.offsets)))
        return SimpleNamespace(topics={topic: SimpleNamespace(error=self.unknown, partitions=partitions)})

    def offsets_for_times(self, places: list[Any], timeout: float) -> list[Any]:
        assert timeout == ANSWER_SECONDS
        if self.refuses:
            raise KafkaException(self.refuses)
        return [self._place(place, self.found[place.offset][place.partition]) for place in places]

    def committed(self, places: list[Any], timeout: float) -> list[Any]:
        assert timeout == ANSWER_SECONDS
        return [self._place(place, self.offsets[place.partition]) for place in places]

    def _place(self, place: Any, offset: int) -> Any:
        assert place.topic == "raw-events"
        return SimpleNamespace(partition=place.partition, offset=offset, error=self.broken)


def offsets(client: Client) -> TopicOffsets:
    def make(config: dict[str, Any]) -> Any:
        client.config = config
        return client

    return TopicOffsets(SETTINGS, "raw-events", "archive", make)


def test_every_partition_says_where_it_begins_and_ends() -> None:
    client = Client({BEGINNING: [0, 40], END: [7, 40]}, committed=[0, 0])
    assert offsets(client).ask_extents() == {0: Extent(0, 7), 1: Extent(40, 40)}


def test_unread_is_what_lies_between_a_groups_offset_and_the_end() -> None:
    client = Client({BEGINNING: [0, 5, 0, 3], END: [9, 9, 9, 9]}, committed=[4, 2, 9, -1001])
    assert offsets(client).ask_unread() == {0: 4, 1: 5, 3: 3}


def test_the_client_shows_who_it_is_and_commits_nothing() -> None:
    client = Client({BEGINNING: [0], END: [0]}, committed=[0])
    offsets(client).ask_unread()
    assert client.config["bootstrap.servers"] == "broker:9098"
    assert (client.config["group.id"], client.config["enable.auto.commit"]) == ("archive", False)
    assert (client.config["security.protocol"], client.config["sasl.mechanisms"]) == ("SASL_SSL", "OAUTHBEARER")


def test_a_moment_lies_before_the_first_record_since_then_or_behind_all() -> None:
    client = Client({int(MOMENT.timestamp() * 1000): [4, -1, 0]}, committed=[0, 0, 0])
    assert offsets(client).ask_since(MOMENT, [0, 1, 2]) == {0: 4, 2: 0}


@pytest.mark.parametrize("trouble", ["refuses", "broken", "unknown"])
def test_what_is_not_answered_is_not_an_empty_topic(trouble: str) -> None:
    client = Client({BEGINNING: [0], END: [0], int(MOMENT.timestamp() * 1000): [0]}, committed=[0])
    setattr(client, trouble, KafkaError(KafkaError._TIMED_OUT))
    with pytest.raises(Retryable, match="do not say what archive reads of raw-events"):
        offsets(client).ask_extents()
    with pytest.raises(Retryable):
        offsets(client).ask_unread()
    if trouble != "unknown":
        with pytest.raises(Retryable):
            offsets(client).ask_since(MOMENT, [0])
