"""A model of Lambda's event source mappings for Amazon MSK, in provisioned mode.

Modelled: a consumer group for each mapping and its pollers in it; batches by size, window and payload, in order within
a partition and spanning partitions; the event as Lambda writes it; partial failures; retries with exponential backoff
that hold up only the partitions concerned; retry and age limits, and the object that is left in a bucket when they are
passed; throttles and an absent function, which cost nothing but time; mappings that are not enabled; endless retries
capped at 10 where there is a destination; the metrics of failed, delivered and dropped events, written to a file.

Not modelled: scaling of pollers, several invocations of one poller at a time, bisecting, filters, schema registries,
destinations other than buckets, start positions by time, authentication, other metrics. Believed rather than
documented: the name of the object, the condition of a record that is too old (others saw it), the pauses between
retries, and that null keys and values are left out.

`GET /_model/mappings` is ours: what each mapping has invoked, retried and discarded since it started.
"""

import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from local.models.aws_client import aws_client
from local.models.config import EventSourceConfig, MappingConfig, read
from local.models.invoke_client import InvokeClient
from local.models.kafka_event import Record
from local.models.metric_log import MetricLog
from local.models.on_failure import Discard, invocation_record, object_key
from local.models.poller import DeliveryFailed, Poller
from local.models.serve import main

log = logging.getLogger(__name__)

#: An invocation may wait for a worker before it runs; only then does the function's timeout begin.
_QUEUE_SECONDS = 60

#: A client that has been without a partition for so long, or has committed for so long, does not find its group's
#: coordinator any more: librdkafka sometimes loses it for good when all brokers were away at once.
_LOST_SECONDS = 20


class KafkaSource:
    """A consumer in a mapping's group."""

    def __init__(self, config: EventSourceConfig, mapping: MappingConfig, number: int) -> None:
        self._topic = mapping.topic
        self._seen: dict[int, int] = {}
        self._assigned_at = time.monotonic()
        self.on_revoke: Callable[[list[int]], None] = lambda _partitions: None
        longest = mapping.function_timeout_seconds + _QUEUE_SECONDS
        self._consumer = Consumer(
            {
                "bootstrap.servers": config.bootstrap,
                "group.id": mapping.group,
                # A poller that is killed and started again takes its partitions back without a rebalance.
                "group.instance.id": f"{mapping.uuid}-{number}",
                "auto.offset.reset": "earliest" if mapping.starting_position == "TRIM_HORIZON" else "latest",
                "enable.auto.commit": False,
                "max.poll.interval.ms": int((2 * longest + 300) * 1000),
                "queued.max.messages.kbytes": 16384,
                # A batching window waits anyway: a fetch for every few records would keep brokers and pollers busy.
                "fetch.min.bytes": 1024 * 1024,
                "fetch.wait.max.ms": 250,
            }
        )
        self._consumer.subscribe([mapping.topic], on_revoke=self._revoked, on_lost=self._revoked)

    def poll(self, count: int, seconds: float) -> Sequence[Record]:
        if self._consumer.assignment():
            self._assigned_at = time.monotonic()
        elif time.monotonic() - self._assigned_at > _LOST_SECONDS:
            raise RuntimeError(f"{self._topic}: no partition for {_LOST_SECONDS} s")
        records = []
        for message in self._consumer.consume(count, seconds):
            error = message.error()
            if error is None:
                record = _record(message)
                # A fetch that was under way when its partition was paused must not bring records twice.
                if record.offset > self._seen.get(record.partition, -1):
                    self._seen[record.partition] = record.offset
                    records.append(record)
            elif error.code() == KafkaError._FATAL:  # noqa: SLF001 - the name the library publishes it under
                raise KafkaException(error)
            else:
                log.warning("%s: %s", self._topic, error)
        return records

    def pause(self, partitions: Iterable[int]) -> None:
        self._consumer.pause(self._assigned(partitions))

    def resume(self, partitions: Iterable[int]) -> None:
        self._consumer.resume(self._assigned(partitions))

    def commit(self, offsets: dict[int, int]) -> None:
        wanted = [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]
        # librdkafka waits for the answer without end, and the thread with it.
        lost = threading.Timer(_LOST_SECONDS, _end_lost_process, [self._topic])
        lost.daemon = True
        lost.start()
        try:
            self._consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException as error:
            # The records were processed; not knowing it, the group reads them again: at least once.
            log.warning("%s: offsets were not committed: %s", self._topic, error)
        finally:
            lost.cancel()

    def close(self) -> None:
        self._consumer.close()

    def _assigned(self, partitions: Iterable[int]) -> list[TopicPartition]:
        wanted = set(partitions)
        return [each for each in self._consumer.assignment() if each.partition in wanted]

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = [each.partition for each in partitions]
        for partition in gone:
            self._seen.pop(partition, None)
        self.on_revoke(gone)


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    headers: Any = message.headers() or ()
    key: Any = message.key()
    value: Any = message.value()
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise RuntimeError("a record came without its place")
    return Record(topic, partition, offset, timestamp, kind, key, value, tuple(headers))


class FailureBucket:
    """Takes batches that were given up; without a bucket they are only logged, as Lambda drops them."""

    def __init__(self, config: EventSourceConfig, mapping: MappingConfig) -> None:
        self._mapping = mapping
        self._bootstrap = config.bootstrap
        self._s3 = aws_client("s3", config.aws, config.region)

    def __call__(self, records: Sequence[Record], payload: bytes, discard: Discard) -> None:
        log.warning("%s: %d records are given up: %s", self._mapping.function_arn, len(records), discard.condition)
        if self._mapping.failure_bucket is None:
            return
        now = time.time()
        content = invocation_record(self._mapping, self._bootstrap, records, payload, discard, now)
        try:
            self._s3.put_object(Bucket=self._mapping.failure_bucket, Key=object_key(self._mapping, now), Body=content)
        except (BotoCoreError, ClientError) as error:
            raise DeliveryFailed(str(error)) from error


class PollerThread(threading.Thread):
    """Runs one poller until it is asked to stop."""

    def __init__(self, config: EventSourceConfig, mapping: MappingConfig, number: int, metrics: MetricLog) -> None:
        super().__init__(name=f"{mapping.group}-{number}", daemon=True)
        self._stopping = threading.Event()
        self._source = KafkaSource(config, mapping, number)
        patience = mapping.function_timeout_seconds + _QUEUE_SECONDS
        self._client = InvokeClient(config.lambdas, mapping.function_arn, patience)

        def count(metric: str, events: int) -> None:
            metrics.write(metric, events, {"EventSourceMappingUUID": mapping.uuid})

        self.poller = Poller(
            mapping, config.bootstrap, self._source, self._client.invoke, FailureBucket(config, mapping), count
        )
        self._source.on_revoke = self.poller.revoked

    def run(self) -> None:
        while not self._stopping.is_set():
            self.poller.step()
        self._source.close()
        self._client.close()

    def stop(self) -> None:
        self._stopping.set()


def _end_lost_process(topic: str) -> None:
    """End the process as a poller that cannot continue does."""
    log.critical("%s: no answer to a commit for %s s", topic, _LOST_SECONDS)
    os._exit(1)


def _end_process(arguments: threading.ExceptHookArgs) -> None:
    """A poller that cannot continue ends the process: the supervisor restarts it, from the committed offsets."""
    log.critical("a poller failed", exc_info=arguments.exc_value)
    os._exit(1)


@contextlib.asynccontextmanager
async def model(config_file: Path) -> AsyncIterator[web.Application]:
    """The pollers of all mappings that are enabled, and their status."""
    config = read(EventSourceConfig, config_file)
    threading.excepthook = _end_process
    metrics = MetricLog(Path(config.metrics), "AWS/Lambda")
    threads: dict[str, list[PollerThread]] = {
        mapping.uuid: [PollerThread(config, mapping, number, metrics) for number in range(mapping.pollers)]
        for mapping in config.mappings
        if mapping.enabled
    }

    async def mappings(_request: web.Request) -> web.Response:
        return web.json_response([_status(each, threads.get(each.uuid, [])) for each in config.mappings])

    application = web.Application()
    application.router.add_get("/_model/mappings", mappings)
    everyone = [thread for group in threads.values() for thread in group]
    for thread in everyone:
        thread.start()
    try:
        yield application
    finally:
        for thread in everyone:
            thread.stop()
        # An invocation that still runs is not waited for: its offsets are not committed, so it is made again.
        for thread in everyone:
            thread.join(timeout=2)


def _status(mapping: MappingConfig, threads: Sequence[PollerThread]) -> dict[str, object]:
    # Copied first: the pollers go on counting.
    counts = sum((Counter(dict(thread.poller.counts)) for thread in threads), Counter[str]())
    return {
        "uuid": mapping.uuid,
        "topic": mapping.topic,
        "function": mapping.function_arn,
        "enabled": mapping.enabled,
        "waiting_partitions": sorted(partition for each in threads for partition in each.poller.held_partitions),
        **counts,
    }


if __name__ == "__main__":
    main(model)
