"""A fake S3 with raw files and dead letters as they are written, and a fake cluster that keeps its records."""

import gzip
import hashlib
import io
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from sluice.core.errors import Fault, Poison
from sluice.core.failures.letterbox import collect
from sluice.core.failures.letters import Letter, about_record, write_letter
from sluice.core.ledger.rerun import ReadRecord, Taken
from sluice.core.offsets import Extent
from sluice.core.records import KafkaRecord, Origin, read_records
from sluice.core.samples.events import read_event
from sluice.edge.bucket import Bucket
from sluice.edge.database import Connection
from sluice.edge.ledger.counted_objects import CountedObjects, Counts, Folder
from sluice.edge.ledger.reconciling import Accountable, Ledger, Reconciling
from sluice.edge.ledger.tables import LedgerTables
from sluice.edge.samples.storing import Samples
from tests.database.aggregating import LIMITS, Sent, now
from tests.support import samples

RAW, LETTERS = "raw/region=here/", "dead_letters/region=here/"
TOPIC = "raw-events"


class Died(psycopg.OperationalError):
    """The function was stopped here."""


class S3:
    """Objects by their names, in one bucket after another."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.listed: list[str] = []

    def get_paginator(self, _operation: str) -> "S3":
        return self

    def paginate(self, *, Bucket: str, Prefix: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:  # noqa: N803
        self.listed.append(StartAfter)
        names = sorted(name for name in self.objects if name.startswith(Prefix) and name > StartAfter)
        assert all(name.split("/")[0] == {"raw": "raw", "letters": "dead_letters"}[Bucket] for name in names)
        for at in range(0, len(names), 2):
            page = names[at : at + 2]
            yield {"Contents": [{"Key": name, "ETag": _etag(self.objects[name])} for name in page]}

    def get_object(self, *, Bucket: str, Key: str, Range: str | None = None) -> dict[str, Any]:  # noqa: ARG002, N803
        data = self.objects[Key]
        if data == b"denied":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "KMS"}}, "GetObject")
        if Range and not data:
            raise ClientError({"Error": {"Code": "InvalidRange"}}, "GetObject")
        if Range is None:
            return {"Body": io.BytesIO(data)}
        first, _, last = Range.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(data) - int(last))
        end = int(last) + 1 if first else len(data)
        return {"Body": io.BytesIO(data[start:end]), "ContentRange": f"bytes {start}-{end - 1}/{len(data)}"}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:  # noqa: ARG002, N803
        self.objects[Key] = Body

    def put_rows(self, sent: Iterable[Sent], name: str = "", day: str = "2026-03-01") -> str:
        """Put a raw file, as Firehose writes one."""
        rows = [
            {
                "fleet_id": one.fleet_id,
                "device_id": one.device_id,
                "event_id": str(one.key),
                "contract": "telemetry",
                "schema_version": one.version,
                "event": one.record().value.decode(),
                "correlation_id": "test",
                "event_time": one.event_time.replace(tzinfo=None),
                "flags": one.flags or None,
                "received_at": one.received_at.replace(tzinfo=None),
                "kafka_topic": one.topic,
                "kafka_partition": one.partition,
                "kafka_offset": one.offset,
            }
            for one in sent
        ]
        schema = pa.schema(
            [
                ("fleet_id", pa.string()),
                ("device_id", pa.string()),
                ("event_id", pa.string()),
                ("contract", pa.string()),
                ("schema_version", pa.int32()),
                ("event", pa.string()),
                ("correlation_id", pa.string()),
                ("event_time", pa.timestamp("ns")),
                ("flags", pa.list_(pa.string())),
                ("received_at", pa.timestamp("ns")),
                ("kafka_topic", pa.string()),
                ("kafka_partition", pa.int32()),
                ("kafka_offset", pa.int64()),
            ]
        )
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
        key = f"{RAW}dt={day}/{name or len(self.objects)}"
        self.objects[key] = file.getvalue()
        return key

    def put_letters(self, letters: Iterable[Letter], offset: int = 0) -> None:
        """Put dead letters, as deadletter does."""
        records = [
            KafkaRecord(Origin("dead-letter", 0, offset + at), msgspec.json.encode(letter), {})
            for at, letter in enumerate(letters)
        ]
        self.objects |= {name: body.data for name, body in collect(records, "here", now()).items()}


UNREADABLE = Poison("it cannot be read")


def letter_of(one: Sent, consumer: str, failed_at: datetime, poison: Fault = UNREADABLE) -> Letter:
    """The dead letter of a record that a consumer gave up on."""
    return about_record(one.record(), poison, consumer, failed_at)


def rejected(event_id: str, failed_at: datetime, fleet_id: str = "demo") -> Letter:
    """The dead letter of an event that ingest rejected."""
    return write_letter(
        reason="contract_violation",
        detail="no",
        body=b"{}",
        consumer="ingest",
        failed_at=failed_at,
        fleet_id=fleet_id,
        event_id=event_id,
        contract="telemetry",
    )


def later() -> datetime:
    """A time at which everything that was sent has been received."""
    return now() + timedelta(hours=1)


def count(
    connection: Connection,
    s3: S3,
    most: int | None = None,
    *,
    all_letters: bool = False,
    clock: Callable[[], datetime] = later,
) -> Counts:
    """Count the objects of the buckets, as a run that has time for so many does."""
    left = iter(range(most)) if most is not None else None
    raw, letters = Folder(Bucket(s3, "raw"), RAW), Folder(Bucket(s3, "letters"), LETTERS)
    objects = CountedObjects(connection, raw, letters, clock)
    return objects.count(lambda: left is None or next(left, None) is not None, all_letters=all_letters)


class Dying:
    """A connection that is gone after so many statements."""

    def __init__(self, connection: Connection, statements: int) -> None:
        self._connection = connection
        self._left = statements

    def execute(self, *arguments: Any) -> Any:
        if self._left == 0:
            raise Died
        self._left -= 1
        return self._connection.execute(*arguments)

    def transaction(self) -> Any:
        return self._connection.transaction()


class Kafka:
    """A cluster with one topic, whose records stay until the test deletes them."""

    def __init__(self) -> None:
        self.records: defaultdict[int, dict[int, Sent]] = defaultdict(dict)
        self.first: defaultdict[int, int] = defaultdict(int)
        self.committed: dict[str, dict[int, int]] = {"archive": {}, "aggregate": {}}

    def store(self, sent: Iterable[Sent]) -> None:
        for one in sent:
            self.records[one.partition][one.offset] = one

    def commit(self, consumer: str) -> None:
        """Commit all offsets of a consumer."""
        self.committed[consumer] = {partition: max(found) + 1 for partition, found in self.records.items()}

    def extents(self) -> dict[int, Extent]:
        return {partition: Extent(self.first[partition], max(found) + 1) for partition, found in self.records.items()}

    def offsets(self, consumer: str) -> Any:
        def ask(partitions: Iterable[int]) -> dict[int, int]:
            committed = self.committed[consumer]
            return {each: committed[each] for each in partitions if each in committed}

        return type("TopicOffsets", (), {"ask_committed": staticmethod(ask)})

    def read(self, partition: int, start: int, end: int) -> Iterator[list[ReadRecord]]:
        assert start >= self.first[partition]
        for at in range(start, end, 3):
            yield [_read(self.records[partition][offset]) for offset in range(at, min(at + 3, end))]


class Function:
    """A consumer that is invoked with an event."""

    def __init__(self, call: Any) -> None:
        self.invoked: list[list[int]] = []
        self._call = call

    def ask(self, event: msgspec.Raw, kind: type[Taken]) -> Taken:
        records = list(read_records(msgspec.json.decode(event)))
        self.invoked.append([record.origin.offset for record in records])
        return msgspec.convert({"batchItemFailures": self._call(records) or []}, kind)


def aggregating(writer: Samples) -> Function:
    """Aggregate, as far as the database sees it."""

    def call(records: Sequence[KafkaRecord]) -> None:
        later = now() + timedelta(days=2)
        writer.add([read_event(record, samples.contracts(), LIMITS, later) for record in records], set())

    return Function(call)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = now()

    def __call__(self) -> datetime:
        return self.now


def reconciling(
    connection: Connection, kafka: Kafka, functions: dict[str, Function], clock: Clock, grace: timedelta
) -> Reconciling:
    """A run of reconcile, with a fake cluster."""
    asked: Any = type("Asked", (), {"ask_extents": staticmethod(kafka.extents)})
    reader: Any = kafka
    consumers: dict[str, Any] = dict(functions)
    nowhere: Any = None
    ledger = Ledger(
        topic=TOPIC,
        raw=nowhere,
        letters=nowhere,
        cluster_arn="arn",
        bootstrap="broker",
        offsets=asked,
        rereader=reader,
        consumers={name: Accountable(one, kafka.offsets(name), grace) for name, one in consumers.items()},
        contracts=samples.contracts(),
        now=clock,
    )
    return Reconciling(ledger, LedgerTables(connection, TOPIC), lambda: True)


def as_reconcile(dsn: str) -> Connection:
    """Connect as reconcile does: as its own role, with its own grants."""
    return psycopg.connect(dsn, user="sluice_reconcile", autocommit=True, options="-c timezone=UTC")


def shuffled(draw: random.Random, sent: Sequence[Sent], pieces: int) -> list[list[Sent]]:
    """Files of records in any order, some of them in more than one."""
    files = [[one for one in sent if draw.random() < 1 / pieces] for _ in range(pieces - 1)]
    told = {id(one) for file in files for one in file}
    files.append([one for one in sent if id(one) not in told])
    for file in files:
        draw.shuffle(file)
    draw.shuffle(files)
    return [file for file in files if file]


def _read(one: Sent) -> ReadRecord:
    record = one.record()
    return ReadRecord(record.origin, 1, 0, None, record.value, tuple(record.headers.items()))


def _etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def letters_in(data: bytes) -> list[dict[str, Any]]:
    """Read an object's letters."""
    return [msgspec.json.decode(line) for line in gzip.decompress(data).splitlines()]
