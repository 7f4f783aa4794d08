"""Events that are given up outside our functions are in the dead letters, byte for byte, and the others continue."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from confluent_kafka import Message, Producer

from cli.simulation.client import Ledger, digest, post_all
from cli.simulation.devices import EVENTS, Fleet, Sent
from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS
from tests.faults.conftest import BROKERS, Injector, check, wait_until
from tests.flow.conftest import Stack
from tests.support.stores import Place

LETTERS = "SELECT kafka_partition, kafka_offset, event FROM dead_letters WHERE reason = '{}' AND consumer = '{}'"


def batches(seed: int, count: int) -> Iterator[list[Sent]]:
    fleet = Fleet(seed, devices=300, clock=lambda: datetime.now(UTC))
    for _ in range(count // 50):
        yield [fleet.good_event(EVENTS) for _ in range(50)]


def paced(sent: Iterator[list[Sent]], seconds: float) -> Iterator[list[Sent]]:
    """Batches, one after the other with a pause."""
    for batch in sent:
        yield batch
        time.sleep(seconds)


def post(stack: Stack, sent: Iterator[list[Sent]]) -> Ledger:
    """Post events until all of them are accepted."""
    return asyncio.run(post_all(stack["api"], stack["keys"]["device"], sent, at_once=1, until_settled=True))


def letters(stack: Stack, reason: str, consumer: str) -> dict[Place, set[str]]:
    """The events of dead letters as an analyst finds them, by their places, and by their hashes."""
    found: dict[Place, set[str]] = defaultdict(set)
    for partition, offset, event in stack.query("--sql", LETTERS.format(reason, consumer))[1:]:
        found[Place(int(partition), int(offset))].add(digest(event.encode()))
    return found


def undelivered(stack: Stack) -> set[str]:
    """The events whose rows Firehose could not convert."""
    return {sha256 for held in letters(stack, "delivery_failed", "archive").values() for sha256 in held}


def settle_undelivered(stack: Stack, ledger: Ledger) -> None:
    """Wait for the dead letters of events whose rows Firehose cannot convert.

    Until they are there, reconcile may run archive on the events again. Those rows must fail as the first ones did.
    """
    wait_until("every event is a dead letter", lambda: ledger.accepted.keys() <= undelivered(stack))
    stack.settle()


def names(stack: Stack, bucket: str, prefix: str) -> list[str]:
    """What lies in a bucket."""
    pages = stack.stores.s3.get_paginator("list_objects_v2").paginate(Bucket=stack["buckets"][bucket], Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def covered(stack: Stack, places: set[Place]) -> bool:
    """Whether the ledger of aggregate knows what became of some records."""
    sql = "SELECT partition, offsets FROM coverage WHERE consumer = 'aggregate' AND topic = 'raw-events'"
    with psycopg.connect(stack["database"]) as connection:
        held: dict[int, Any] = dict(connection.execute(sql).fetchall())
    return all(any(place.offset in one for one in held.get(place.partition, ())) for place in places)


def produce(stack: Stack, events: list[bytes], age_seconds: int) -> dict[Place, set[str]]:
    """Store events as ingest does, but with old timestamps, as if unread since. Return them by their places."""
    received = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    stored: dict[Place, set[str]] = {}

    def note(error: Any, message: Message) -> None:
        assert not error
        stored[Place(message.partition() or 0, message.offset() or 0)] = {digest(bytes(message.value() or b""))}

    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    for number, event in enumerate(events):
        producer.produce(
            "raw-events",
            key=b"press-00001",
            value=event,
            headers=[("sluice", f'[1,"{received}","demo","telemetry",1,[],"c"]'.encode())],
            partition=number % 3,
            timestamp=int((time.time() - age_seconds) * 1000),
            on_delivery=note,
        )
    assert producer.flush(30) == 0
    return stored


@pytest.mark.shows_fault(
    part="retention",
    fault="a consumer stopped for longer than the buffer",
    expected="the oldest become dead letters with their reason, the newest are processed",
)
@pytest.mark.shows_loss_path(
    fails="Firehose is away for more than four hours",
    section="Between Kafka and the stores",
    event_is="the oldest in the bucket of failed batches, then in the dead letters; the newest in Kafka",
    told="`pressure-level` long before, `archive-set-aside`",
    comes_back="the newest by themselves; raw lacks the oldest",
)
def test_events_that_waited_for_too_long_are_dead_letters_and_the_newest_are_processed(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    began = time.time()
    before = {consumer: set(letters(stack, "expired", consumer)) for consumer in ("archive", "aggregate")}
    (old,) = batches(71, 50)
    expired = produce(stack, [sent.body for sent in old], CONSUMER_RECORD_AGE_SECONDS + 3600)
    assert len(expired) == 50
    ledger = post(stack, batches(72, 500))
    for consumer in ("archive", "aggregate"):

        def given_up(consumer: str = consumer) -> bool:
            found = letters(stack, "expired", consumer)
            return {place: found[place] for place in found.keys() - before[consumer]} == expired

        wait_until(f"{consumer} has given up the oldest", given_up)
    wait_until("nothing lies there any more", lambda: not names(stack, "failed_batches", "aws/"))
    assert names(stack, "failed_batches", "salvaged/aws/lambda/")
    # A period is evaluated once it is over.
    set_aside = {"archive-set-aside", "aggregate-set-aside"}
    wait_until("both alarms have been on", lambda: set_aside <= injector.alarms(began))
    wait_until("the ledger knows of the letters", lambda: covered(stack, set(expired)))
    check(stack, ledger, earlier | {digest(sent.body) for sent in old})
    today = datetime.now(UTC).date().isoformat()
    header, *rows = stack.query("--name", "dead_letters_by_reason", today, "2100-01-01")
    counted = {(row[header.index("reason")], row[header.index("consumer")]) for row in rows}
    assert {("expired", "archive"), ("expired", "aggregate")} <= counted


@pytest.mark.shows_fault(
    part="Firehose", fault="oversize row, wrong type", expected="the error output becomes dead letters"
)
@pytest.mark.shows_loss_path(
    fails="Firehose cannot convert a row",
    section="Between Kafka and the stores",
    event_is="under `errors/` in the raw bucket, then in the dead letters as it was sent",
    told="`delivery-unconverted`",
    comes_back="salvage writes its letter within a minute",
)
def test_rows_that_firehose_cannot_convert_are_dead_letters_with_the_events_own_bytes(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    with injector.faulty_delivery(unreadable_share=1):
        ledger = post(stack, batches(73, 500))
        settle_undelivered(stack, ledger)
    check(stack, ledger, earlier)
    wait_until("nothing lies there any more", lambda: not names(stack, "raw", "errors/"))
    assert names(stack, "raw", "salvaged/errors/raw/format-conversion-failed/")


@pytest.mark.shows_loss_path(
    fails="salvage dies, or the brokers are away",
    section="On the way to the dead letters",
    event_is="in the bucket it was found in",
    told="`salvage-waiting`",
    comes_back="the next run writes the same letters again",
)
def test_salvage_that_dies_again_and_again_loses_nothing_and_changes_nothing(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    with injector.faulty_delivery(unreadable_share=1):
        with (
            injector.invoking("salvage"),
            injector.killing_workers("salvage", every_seconds=1, seed=74) as killed,
        ):
            # A buffer is delivered every two seconds: there is something to salvage whenever it dies.
            ledger = post(stack, paced(batches(74, 1000), seconds=0.4))
            stack.settle()
            wait_until("it died at its work", lambda: len(killed) >= 5)
        settle_undelivered(stack, ledger)
    # Written more than once, perhaps, and never as anything else.
    assert {len(held) for held in letters(stack, "delivery_failed", "archive").values()} == {1}
    check(stack, ledger, earlier)


def test_brokers_that_are_away_leave_what_was_given_up_where_it_is_until_they_are_back(
    stack: Stack, injector: Injector
) -> None:
    name = "aws/lambda/by-hand/2026/11/27/1"
    with injector.frozen(*BROKERS):
        bucket = stack["buckets"]["failed_batches"]
        stack.stores.s3.put_object(Bucket=bucket, Key=name, Body=b"what is left of a batch")
        # Longer than salvage waits for the brokers.
        time.sleep(15)
        assert names(stack, "failed_batches", "aws/") == [name]
    wait_until("it is moved away", lambda: not names(stack, "failed_batches", "aws/"))
    found = "SELECT event, consumer FROM dead_letters WHERE reason = 'unreadable_object'"
    wait_until("it is a dead letter", lambda: ["what is left of a batch", "salvage"] in stack.query("--sql", found))
    assert f"salvaged/{name}" in names(stack, "failed_batches", "salvaged/")
