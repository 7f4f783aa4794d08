"""What is given up outside our functions is in the dead letters, byte for byte, and those who can go on do."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
from confluent_kafka import Message, Producer

from infra.settings import CONSUMER_RECORD_AGE_SECONDS
from local.fleet.devices import EVENTS, Fleet, Sent
from tests.faults.conftest import BROKERS, Injector, wait_until
from tests.flow.conftest import Stack
from tests.ledger import Ledger, post_all, read_columns

Place = tuple[int, int]
LETTERS = "SELECT kafka_partition, kafka_offset, event FROM dead_letters WHERE reason = '{}' AND consumer = '{}'"


def batches(seed: int, count: int) -> Iterator[list[Sent]]:
    fleet = Fleet(seed, devices=300, clock=lambda: datetime.now(UTC))
    for _ in range(count // 50):
        yield [fleet.good_event(EVENTS) for _ in range(50)]


def post(stack: Stack, sent: list[list[Sent]]) -> set[str]:
    """Post events that are all accepted; return them."""
    ledger: Ledger = asyncio.run(post_all(stack["api"], stack["keys"]["device"], sent, until_settled=True))
    events = {one.body.decode() for batch in sent for one in batch}
    assert len(ledger.accepted) == len(events)
    return events


def letters(stack: Stack, reason: str, consumer: str) -> dict[Place, set[str]]:
    """The events of dead letters as an analyst finds them, by their places."""
    found: dict[Place, set[str]] = defaultdict(set)
    for partition, offset, event in stack.query("--sql", LETTERS.format(reason, consumer))[1:]:
        found[int(partition), int(offset)].add(event)
    return found


def raw(stack: Stack) -> dict[Place, set[str]]:
    """The events of the raw table, by their places."""
    found: dict[Place, set[str]] = defaultdict(set)
    for row in read_columns(stack.description, ["event", "kafka_partition", "kafka_offset"]):
        found[row["kafka_partition"], row["kafka_offset"]].add(row["event"])
    return found


def events_of(found: dict[Place, set[str]]) -> set[str]:
    return {event for events in found.values() for event in events}


def s3_of(stack: Stack) -> Any:
    login = {"aws_access_key_id": stack["admin"]["access_key"], "aws_secret_access_key": stack["admin"]["secret_key"]}
    return boto3.client("s3", stack["region"], endpoint_url=stack["aws"], **login)


def names(stack: Stack, bucket: str, prefix: str) -> list[str]:
    """What lies in a bucket."""
    pages = s3_of(stack).get_paginator("list_objects_v2").paginate(Bucket=stack["buckets"][bucket], Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def produce(stack: Stack, events: list[str], age_seconds: int) -> dict[Place, set[str]]:
    """Store events as ingest does, but as long ago as if nobody had come to them since; return them by their places."""
    received = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    stored: dict[Place, set[str]] = {}

    def note(error: Any, message: Message) -> None:
        partition, offset, value = message.partition(), message.offset(), message.value()
        assert not error
        assert partition is not None
        assert offset is not None
        stored[partition, offset] = {bytes(value or b"").decode()}

    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    for number, event in enumerate(events):
        producer.produce(
            "raw-events",
            key=b"press-00001",
            value=event.encode(),
            headers=[("sluice", f'[1,"{received}","demo","telemetry",1,[],"c"]'.encode())],
            partition=number % 3,
            timestamp=int((time.time() - age_seconds) * 1000),
            on_delivery=note,
        )
    assert producer.flush(30) == 0
    return stored


def test_events_that_waited_for_too_long_are_dead_letters_and_the_newest_are_processed(stack: Stack) -> None:
    (old,) = batches(71, 50)
    expired = produce(stack, [sent.body.decode() for sent in old], CONSUMER_RECORD_AGE_SECONDS + 3600)
    assert len(expired) == 50
    newest = post(stack, list(batches(72, 500)))
    for consumer in ("archive", "aggregate"):
        wait_until(
            f"{consumer} has given up the oldest",
            lambda it=consumer: letters(stack, "expired", it).keys() == expired.keys(),
        )
        assert letters(stack, "expired", consumer) == expired
    stack.settle()
    assert newest <= events_of(raw(stack))
    assert not raw(stack).keys() & expired.keys()
    wait_until("nothing lies there any more", lambda: not names(stack, "failed_batches", "aws/"))
    assert names(stack, "failed_batches", "salvaged/aws/lambda/")
    today = datetime.now(UTC).date().isoformat()
    header, *rows = stack.query("--name", "dead_letters_by_reason", today, "2100-01-01")
    counted = {(row[header.index("reason")], row[header.index("consumer")]) for row in rows}
    assert {("expired", "archive"), ("expired", "aggregate")} <= counted


def test_rows_that_firehose_cannot_convert_are_dead_letters_with_the_events_own_bytes(
    stack: Stack, injector: Injector
) -> None:
    with injector.faulty_delivery(unreadable_share=1):
        events = post(stack, list(batches(73, 500)))
        stack.settle()
    wait_until(
        "every event is a dead letter", lambda: events <= events_of(letters(stack, "delivery_failed", "archive"))
    )
    found = letters(stack, "delivery_failed", "archive")
    assert {len(held) for held in found.values()} == {1}
    assert not found.keys() & raw(stack).keys()
    wait_until("nothing lies there any more", lambda: not names(stack, "raw", "errors/"))
    assert names(stack, "raw", "salvaged/errors/raw/format-conversion-failed/")


def test_salvage_that_dies_again_and_again_loses_nothing_and_changes_nothing(stack: Stack, injector: Injector) -> None:
    events: set[str] = set()
    with (
        injector.faulty_delivery(unreadable_share=1),
        injector.invoking("salvage"),
        injector.killing_workers("salvage", every_seconds=1, seed=74) as killed,
    ):
        # A buffer is delivered every two seconds: there is something to salvage whenever it dies.
        for batch in batches(74, 1000):
            events |= post(stack, [batch])
            time.sleep(0.4)
        stack.settle()
        wait_until("it died at its work", lambda: len(killed) >= 5)
    wait_until(
        "every event is a dead letter", lambda: events <= events_of(letters(stack, "delivery_failed", "archive"))
    )
    found = letters(stack, "delivery_failed", "archive")
    # Written more than once, perhaps, and never as anything else.
    assert {len(held) for held in found.values()} == {1}
    assert not found.keys() & raw(stack).keys()


def test_brokers_that_are_away_leave_what_was_given_up_where_it_is_until_they_are_back(
    stack: Stack, injector: Injector
) -> None:
    name = "aws/lambda/by-hand/2026/11/27/1"
    with injector.frozen(*BROKERS):
        s3_of(stack).put_object(Bucket=stack["buckets"]["failed_batches"], Key=name, Body=b"what is left of a batch")
        # Longer than salvage waits for the brokers.
        time.sleep(15)
        assert names(stack, "failed_batches", "aws/") == [name]
    wait_until("it is moved away", lambda: not names(stack, "failed_batches", "aws/"))
    found = "SELECT event, consumer FROM dead_letters WHERE reason = 'unreadable_object'"
    wait_until("it is a dead letter", lambda: ["what is left of a batch", "salvage"] in stack.query("--sql", found))
    assert f"salvaged/{name}" in names(stack, "failed_batches", "salvaged/")
