"""Records are read again by their offsets: all that are asked for, no other, and in chunks that fit an invocation."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from sluice.core.errors import Retryable
from sluice.edge.ledger import rereading
from sluice.edge.ledger.rereading import Rereader
from sluice.edge.settings import BrokerSettings

END = KafkaError(KafkaError._PARTITION_EOF)
SETTINGS = BrokerSettings(
    kafka_bootstrap="broker:9098", kafka_auth="none", aws_region="here", produce_deadline_seconds=1
)


class Client:
    """A partition of some records that returns a few at a time."""

    def __init__(self, last: int, error: KafkaError | None = None) -> None:
        self.last, self.error, self.at = last, error, 0
        self.closed = False
        self.asked: list[int] = []

    def assign(self, places: list[Any]) -> None:
        (place,) = places
        assert (place.topic, place.partition) == ("raw-events", 3)
        self.at = place.offset

    def consume(self, num_messages: int, timeout: float) -> list[Any]:
        assert timeout == rereading.READ_SECONDS
        self.asked.append(num_messages)
        offsets = range(self.at, min(self.at + num_messages, self.last))
        self.at += len(offsets)
        return [message(offset, self.error) for offset in offsets]

    def close(self) -> None:
        self.closed = True


def message(offset: int, error: KafkaError | None) -> Any:
    told = {
        "topic": "raw-events",
        "partition": 3,
        "offset": offset,
        "timestamp": (1, 7),
        "key": b"k",
        "value": b"v" * 100,
        "headers": None,
        "error": error,
    }
    return SimpleNamespace(**{name: (lambda value=value: value) for name, value in told.items()})


def read(client: Client, start: int, end: int) -> list[list[int]]:
    reader = Rereader(SETTINGS, "raw-events", lambda _: client)  # type: ignore[arg-type, return-value]
    return [[record.origin.offset for record in piece] for piece in reader.read(3, start, end)]


def test_all_that_is_asked_for_is_read_and_no_more_is_waited_for() -> None:
    client = Client(2000)
    (piece,) = read(client, 100, 1250)
    assert piece == list(range(100, 1250))
    assert client.asked == [500, 500, 150]
    assert client.closed


def test_a_piece_is_as_large_as_one_invocation_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "MOST_BYTES", 1000)
    assert read(Client(10), 0, 7) == [[0, 1], [2, 3], [4, 5], [6]]
    monkeypatch.setattr(rereading, "MOST_BYTES", 10)
    assert read(Client(10), 0, 2) == [[0], [1]]
    monkeypatch.setattr(rereading, "MOST_BYTES", 10**6)
    monkeypatch.setattr(rereading, "MOST_RECORDS", 3)
    assert read(Client(10), 0, 4) == [[0, 1, 2], [3]]


def test_a_partition_that_ends_without_a_record_is_read_to_its_end() -> None:
    class Ended(Client):
        """A partition whose last offsets hold the end of a transaction."""

        told = False

        def consume(self, num_messages: int, timeout: float) -> list[Any]:
            if found := super().consume(num_messages, timeout):
                return found
            told, self.told = self.told, True
            return [] if told else [message(self.last + 1, END)]

    assert read(Ended(5), 3, 6) == [[3, 4]]
    with pytest.raises(Retryable, match="from offset 6 on"):
        read(Ended(5), 3, 7)


def test_brokers_that_give_nothing_or_an_error_are_asked_again_another_time() -> None:
    client = Client(5)
    with pytest.raises(Retryable, match="returns no records from offset 5 on"):
        read(client, 0, 9)
    assert client.closed
    with pytest.raises(Retryable, match="cannot be read from 0 on"):
        read(Client(5, KafkaError(KafkaError.OFFSET_OUT_OF_RANGE)), 0, 3)
