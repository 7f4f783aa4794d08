"""The contents of a stack, read directly from Kafka, the buckets and the database.

It uses no code of the pipeline, no catalog and no view. It reads immutable data once: an object of a bucket, and a
place of a topic.
"""

import base64
import gzip
import io
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, LiteralString, NamedTuple, TypeVar
from uuid import UUID, uuid5

import boto3
import psycopg
import pyarrow.parquet as pq
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from cli.simulation.client import digest
from tests.support.recomputation import COLUMNS, Numbers, RawEvent, read_numbers

RAW_EVENTS, DEAD_LETTERS = "raw-events", "dead-letter"
ENVELOPE = "sluice"
FLAGS_AT = {1: 5}
"""Where an envelope has its flags, by its version; what stands before them stands there in every version."""
# What brokers answer for a moment after the leader of a partition has changed.
_CHANGING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}

_Answer = TypeVar("_Answer")

# The id of an activity without one follows from it. It cannot change, since stored rows depend on it.
_DERIVED_IDS = UUID("5c1ce000-7d6f-5a4b-8c3e-51d1ce000001")


class Place(NamedTuple):
    """Where a record stands in its topic."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record of raw-events: its bytes by their hash, and the event it is, unless it is none."""

    place: Place
    sha256: str
    event: RawEvent | None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the raw store."""

    event: RawEvent
    sha256: str

    @property
    def place(self) -> Place:
        return Place(self.event.kafka_partition, self.event.kafka_offset)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, as it is kept or on its way."""

    fields: Mapping[str, Any]

    @property
    def consumer(self) -> str:
        return str(self.fields.get("consumer"))

    @property
    def body(self) -> bytes:
        """The bytes it keeps."""
        text = self.fields.get("event")
        return text.encode() if text is not None else base64.b64decode(self.fields.get("event_base64") or "")

    @property
    def whole(self) -> bool:
        """Whether it keeps all of them."""
        return len(self.body) == self.fields.get("event_size")

    def place_in(self, topic: str) -> Place | None:
        """The place of its record, if the record is of this topic."""
        if self.fields.get("kafka_topic") != topic:
            return None
        return Place(self.fields["kafka_partition"], self.fields["kafka_offset"])


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample with its readings by metric."""

    fleet_id: str
    device_id: str
    key: UUID
    effective_time: datetime
    readings: tuple[tuple[str, float], ...]


class Told(NamedTuple):
    """A message about an incident, as the outbox has it."""

    incident_id: str
    sequence: int
    happening: str


class Delivered(NamedTuple):
    """A message that a destination took."""

    incident_id: str
    sequence: int
    destination_id: str


@dataclass(frozen=True)
class Snapshot:
    """All of it, at a moment at which nothing is in flight."""

    records: list[Record]
    rows: list[Row]
    letters: list[Letter]
    letters_sent: list[tuple[Place, Letter | None]]
    """The topic of dead letters; None is what is no letter."""
    samples: list[Sample]
    outcomes: dict[tuple[str, str], int]
    """By fleet and outcome: how many records aggregate says it has dealt with."""
    covered: dict[int, list[tuple[int, int]]]
    """By partition: the offsets aggregate says it has dealt with, from and up to but not including."""
    lacking: dict[int, list[tuple[int, int]]]
    """By partition: those of them that aggregate gave up or could not read, and that no one has counted since."""
    numbers: Numbers
    told: list[Told] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    """One for each time that a destination took a message."""


class Stores:
    """The stores of one stack."""

    def __init__(self, stack: Mapping[str, Any]) -> None:
        self._stack = stack
        self._objects: dict[tuple[str, str], list[Any]] = {}
        self._logs: defaultdict[str, dict[Place, Any]] = defaultdict(dict)

    def read(self) -> Snapshot:
        """Read everything."""
        samples, outcomes, covered, lacking = self._read_database()
        # match may write letters at any moment: only those that deadletter has committed by now must be kept.
        stored = committed_offsets(self._stack["broker"], DEAD_LETTERS, self._stack["consumers"]["deadletter"])
        return Snapshot(
            records=[*self._read_topic(RAW_EVENTS, _read_record).values()],
            rows=self.rows(),
            letters=self.letters(),
            letters_sent=[
                (place, sent)
                for place, sent in self._read_topic(DEAD_LETTERS, _read_sent).items()
                if place.offset < stored.get(place.partition, 0)
            ],
            samples=samples,
            outcomes=outcomes,
            covered=covered,
            lacking=lacking,
            numbers=read_numbers(self._stack["database"]),
            told=self._ask("SELECT incident_id, sequence, message ->> 'happening' FROM alert_message", Told),
            delivered=self._ask(
                "SELECT incident_id, sequence, destination_id FROM delivery WHERE outcome = 'delivered'", Delivered
            ),
        )

    def contents(self) -> set[str]:
        """Return every stored event and rejection by its hash."""
        letters = {digest(letter.body) for letter in self.letters()}
        return letters | {record.sha256 for record in self._read_topic(RAW_EVENTS, _read_record).values()}

    def rows(self) -> list[Row]:
        """Read every row of the raw store, copies included."""
        return self._read_bucket("raw", "raw/", _read_rows)

    def letters(self) -> list[Letter]:
        """Read every dead letter that is kept."""
        return self._read_bucket("dead_letter", "dead_letters/", _read_letters)

    def _read_bucket(self, purpose: str, prefix: str, read: Any) -> list[Any]:
        bucket = self._stack["buckets"][purpose]
        found: list[Any] = []
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                # Its hash names what was read of it: a changed object is read again.
                name = (item["Key"], item["ETag"])
                if name not in self._objects:
                    body = self.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                    self._objects[name] = read(body)
                found += self._objects[name]
        return found

    def _read_topic(self, topic: str, read: Any) -> dict[Place, Any]:
        log, consumer = self._logs[topic], _consumer(self._stack["broker"])
        try:
            numbers = consumer.list_topics(topic, timeout=20).topics[topic].partitions
            reached = dict.fromkeys(numbers, 0)
            for place in log:
                reached[place.partition] = max(reached[place.partition], place.offset + 1)
            left: dict[int, int] = {}
            for number in numbers:
                first, end = _extent(consumer, topic, number)
                reached[number] = max(reached[number], first)
                if reached[number] < end:
                    left[number] = end
            consumer.assign([TopicPartition(topic, number, reached[number]) for number in left])
            while left:
                for message in consumer.consume(5000, timeout=1):
                    if error := message.error():
                        raise RuntimeError(str(error))
                    place = Place(message.partition() or 0, message.offset() or 0)
                    log[place] = read(place, message)
                    if place.offset + 1 >= left.get(place.partition, 0):
                        left.pop(place.partition, None)
            return log
        finally:
            consumer.close()

    def _ask(self, query: LiteralString, kind: Callable[..., _Answer]) -> list[_Answer]:
        with psycopg.connect(self._stack["database"]) as connection:
            return [kind(*row) for row in connection.execute(query)]

    def _read_database(
        self,
    ) -> tuple[
        list[Sample], dict[tuple[str, str], int], dict[int, list[tuple[int, int]]], dict[int, list[tuple[int, int]]]
    ]:
        with psycopg.connect(self._stack["database"]) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            names: dict[int, str] = dict(connection.execute("SELECT metric_key, name FROM metric").fetchall())
            rows = connection.execute(
                "SELECT fleet_id, device_id, event_key, effective_time, metric_keys, readings"
                " FROM sample JOIN entity USING (entity_key)"
            ).fetchall()
            samples = [
                Sample(
                    fleet,
                    device,
                    key,
                    moment,
                    tuple(sorted((names[at], one) for at, one in zip(keys, held, strict=True))),
                )
                for fleet, device, key, moment, keys, held in rows
            ]
            outcomes = connection.execute(
                "SELECT fleet_id, outcome, sum(events)::bigint FROM outcome WHERE consumer = 'aggregate' GROUP BY 1, 2"
            ).fetchall()
            covered = connection.execute(
                "SELECT partition, offsets FROM coverage WHERE consumer = 'aggregate' AND topic = %s", [RAW_EVENTS]
            ).fetchall()
            lacking: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
            for number, gap in connection.execute(
                "SELECT partition, offsets FROM gap WHERE consumer = 'aggregate' AND topic = %s AND given_up",
                [RAW_EVENTS],
            ):
                lacking[number].append((gap.lower, gap.upper))
            for number, offset in connection.execute(
                "SELECT partition, kafka_offset FROM dead_lettered_record WHERE consumer = 'aggregate' AND topic = %s",
                [RAW_EVENTS],
            ):
                lacking[number].append((offset, offset + 1))
        return (
            samples,
            {(fleet, outcome): events for fleet, outcome, events in outcomes},
            {number: [(one.lower, one.upper) for one in offsets] for number, offsets in covered},
            dict(lacking),
        )

    @cached_property
    def s3(self) -> Any:
        """The object store, as an administrator."""
        admin = self._stack["admin"]
        login = {"aws_access_key_id": admin["access_key"], "aws_secret_access_key": admin["secret_key"]}
        return boto3.client("s3", self._stack["region"], endpoint_url=self._stack["aws"], **login)


def end_offsets(broker: str, topic: str) -> dict[int, int]:
    """Ask Kafka how far each partition of a topic reaches."""
    consumer = _consumer(broker)
    try:
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        return {number: _extent(consumer, topic, number)[1] for number in partitions}
    finally:
        consumer.close()


def committed_offsets(broker: str, topic: str, group: str) -> dict[int, int]:
    """Ask Kafka up to where a group has committed; partitions without a commit are left out."""
    # Not AdminClient: in librdkafka 2.16 its list_consumer_group_offsets crashes while a group's coordinator moves.
    consumer = _consumer(broker, group)
    try:
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        places = _ask(consumer, topic, lambda: _committed(consumer, topic, partitions))
    finally:
        consumer.close()
    return {place.partition: place.offset for place in places if place.offset >= 0}


def _committed(consumer: Consumer, topic: str, partitions: Iterable[int]) -> list[TopicPartition]:
    places = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=20)
    if failed := next((place.error for place in places if place.error is not None), None):
        raise KafkaException(failed)
    return places


def _extent(consumer: Consumer, topic: str, number: int) -> tuple[int, int]:
    return _ask(consumer, topic, lambda: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20))


def _ask(consumer: Consumer, topic: str, question: Callable[[], _Answer]) -> _Answer:
    """Ask the brokers; while a leader or a coordinator changes, ask again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return question()
        except KafkaException as error:
            if error.args[0].code() not in _CHANGING or time.monotonic() > deadline:
                raise
            consumer.list_topics(topic, timeout=20)
            time.sleep(0.2)


def _consumer(broker: str, group: str = "ledger-of-tests") -> Consumer:
    return Consumer({"bootstrap.servers": broker, "group.id": group, "enable.auto.commit": False})


def _read_rows(parquet: bytes) -> list[Row]:
    rows = pq.read_table(io.BytesIO(parquet), columns=list(COLUMNS)).to_pylist()
    events = [
        RawEvent(**row | {"received_at": row["received_at"].replace(tzinfo=UTC), "flags": tuple(row["flags"] or ())})
        for row in rows
    ]
    return [Row(event, digest(event.event.encode())) for event in events]


def _read_letters(packed: bytes) -> list[Letter]:
    return [Letter(json.loads(line)) for line in gzip.decompress(packed).splitlines()]


def _read_sent(_place: Place, message: Message) -> Letter | None:
    try:
        fields = json.loads(message.value() or b"")
    except ValueError:
        return None
    return Letter(fields) if isinstance(fields, dict) else None


def _read_record(place: Place, message: Message) -> Record:
    value: Any = message.value() or b""
    headers: Any = message.headers() or ()
    return Record(place, digest(value), _read_event(place, value, headers))


def _read_event(place: Place, value: bytes, headers: Iterable[tuple[str, Any]]) -> RawEvent | None:
    """Read an event and its envelope without validation. An unreadable one is None."""
    try:
        said = json.loads(dict(headers)[ENVELOPE])
        release, received_at, fleet, contract, version = said[:5]
        document = json.loads(value)
        return RawEvent(
            fleet_id=fleet,
            device_id=document["source" if contract == "activity" else "device_id"],
            event_id=document.get("event_id") or str(uuid5(_DERIVED_IDS, f"{fleet}\n{value.decode()}")),
            contract=contract,
            schema_version=version,
            received_at=datetime.fromisoformat(received_at),
            flags=tuple(said[FLAGS_AT[release]]),
            event=value.decode(),
            kafka_partition=place.partition,
            kafka_offset=place.offset,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
