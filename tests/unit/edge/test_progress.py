"""How far a consumer group has come, as the brokers say."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sluice.core.errors import Retryable
from sluice.edge.extents import ANSWER_SECONDS
from sluice.edge.progress import Progress
from sluice.edge.settings import BrokerSettings

SETTINGS = BrokerSettings(
    kafka_bootstrap="broker:9098", kafka_auth="iam", aws_region="here", produce_deadline_seconds=1
)


class Client:
    """Brokers that know one group."""

    def __init__(self, offsets: dict[int, int], error: KafkaError | None = None) -> None:
        self.offsets, self.error = offsets, error
        self.refuses: KafkaError | None = None

    def list_consumer_group_offsets(self, wanted: list[Any], request_timeout: float) -> dict[str, Any]:
        assert request_timeout == ANSWER_SECONDS
        ((group, places),) = [(one.group_id, one.topic_partitions) for one in wanted]
        future: Future[Any] = Future()
        if self.refuses is not None:
            future.set_exception(KafkaException(self.refuses))
        answers = [
            SimpleNamespace(partition=p.partition, offset=self.offsets[p.partition], error=self.error) for p in places
        ]
        if not future.done():
            future.set_result(SimpleNamespace(topic_partitions=answers))
        return {group: future}


def progress(client: Client) -> Progress:
    return Progress(SETTINGS, "raw-events", lambda _: client)  # type: ignore[arg-type, return-value]


def test_a_partition_that_nothing_was_committed_of_is_at_its_beginning() -> None:
    assert progress(Client({0: 7, 1: -1001})).ask("archive", [1, 0]) == {0: 7, 1: 0}


@pytest.mark.parametrize("where", ["the whole answer", "one partition"])
def test_brokers_that_do_not_say_are_asked_again_another_time(where: str) -> None:
    error = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    client = Client({0: 7}, error if where == "one partition" else None)
    client.refuses = error if where == "the whole answer" else None
    with pytest.raises(Retryable, match="do not say how far archive is"):
        progress(client).ask("archive", [0])
