"""Simulated brokers: topics of partitions, a producer as ingest and the consumers use it, and groups' offsets."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka.partitioner import murmur2

from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.edge.kafka_client import Delivery, Unstored
from tests.simulation.faults import ALWAYS, NO_ANSWER, PARTLY, draw_failing
from tests.simulation.world import World

PARTITIONS = {"raw-events": 4, "dead-letter": 2, "alert-events": 2, "replay-events": 4}
BROKER = "brokers"
CREATE_TIME = 1


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a partition."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Brokers:
    """The topics, and what groups have committed."""

    world: World
    topics: dict[str, list[list[LogRecord]]] = field(
        default_factory=lambda: {topic: [[] for _ in range(number)] for topic, number in PARTITIONS.items()}
    )
    committed: defaultdict[tuple[str, str], dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """By group and topic: each partition's next offset to read."""

    def append(self, message: Message) -> Origin:
        """Store a message where its key belongs."""
        number = self.choose(message)
        log = self.topics[message.topic][number]
        milliseconds = int(self.world.timeline.seconds() * 1000)
        # A partition's times do not go back: the leader's clock is one.
        timestamp = max(milliseconds, log[-1].timestamp if log else 0)
        headers = tuple((name, value) for name, value in message.headers)
        log.append(LogRecord(message.topic, number, len(log), timestamp, message.key, message.value, headers))
        origin = Origin(message.topic, number, len(log) - 1)
        self.world.witness.note_record(origin, message, self.world.invocation)
        return origin

    def choose(self, message: Message) -> int:
        """Choose a message's partition, as the real client does."""
        return (int(murmur2(message.key)) & 0x7FFFFFFF) % len(self.topics[message.topic])

    def unread(self, group: str, topic: str) -> int:
        """How many records a group has not committed."""
        offsets = self.committed[group, topic]
        return sum(len(log) - offsets.get(number, 0) for number, log in enumerate(self.topics[topic]))


class SimulatedProducer:
    """The client that the edge's Broker keeps."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._closed = False
        self._has_gap = False
        """Whether a batch failed: its numbers are missing, and the brokers refuse what comes behind them."""

    def connect(self, topic: str, seconds: float) -> None:
        """Connect; raise ConnectionError when that fails."""
        del topic, seconds
        self._brokers.world.perform(BROKER, "connect", lambda _: None, ConnectionError)

    def store(self, messages: Sequence[Message], seconds: float) -> list[Delivery]:
        """Store messages and say what became of each."""
        return [None if isinstance(report, Origin) else report for report in self.place(messages, seconds)]

    def place(self, messages: Sequence[Message], seconds: float) -> list[Origin | Unstored]:
        """Store messages and say where each is."""
        del seconds
        if self._closed:
            raise RuntimeError("a closed client was used")
        reports: list[Origin | Unstored]
        try:
            reports = self._brokers.world.perform(
                BROKER,
                "store",
                lambda partly: self._store(messages, partly),
                _NoReportError,
                (*ALWAYS, PARTLY),
            )
        except _NoReportError as error:
            reports = [Unstored(error.kind, answered=error.kind == NO_ANSWER)] * len(messages)
        self._has_gap = self._has_gap or any(isinstance(report, Unstored) for report in reports)
        return reports

    def close(self) -> None:
        """End; nothing is sent any more."""
        self._closed = True

    def _store(self, messages: Sequence[Message], partly: str | None) -> list[Origin | Unstored]:
        if self._has_gap:
            self._brokers.world.witness.note_misuse("a client that did not store a record is used again")
            return [Unstored("out of order sequence number")] * len(messages)
        if partly is None:
            return [self._brokers.append(message) for message in messages]
        # A partition's records are one batch, which is stored whole or not at all.
        draw = self._brokers.world.chance("partly stored")
        places = sorted({(message.topic, self._brokers.choose(message)) for message in messages})
        failing = draw_failing(draw, len(places))
        fates = {
            place: draw.choice(("refused", "unknown")) if number in failing else "stored"
            for number, place in enumerate(places)
        }
        return [
            self._store_perhaps(message, fates[message.topic, self._brokers.choose(message)]) for message in messages
        ]

    def _store_perhaps(self, message: Message, fate: str) -> Origin | Unstored:
        if fate == "refused":
            return Unstored("the leader refused it")
        origin = self._brokers.append(message)
        return origin if fate == "stored" else Unstored("no report within the deadline", answered=False)


class _NoReportError(Exception):
    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind
