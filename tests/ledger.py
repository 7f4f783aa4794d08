"""A black-box client with a ledger of its own: what it sent, what it was told, and what must therefore be stored.

It shares no code with the pipeline. It speaks HTTP, reads the Parquet files, asks Kafka for its
offsets, and compares.
"""

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pyarrow.parquet as pq
from confluent_kafka import Consumer, TopicPartition
from pyarrow import fs

from local.fleet.devices import Sent

TRIES, PAUSE_SECONDS = 40, 0.5


@dataclass
class Ledger:
    """Hashes of the bytes of every event, by the answer it got."""

    accepted: Counter[str] = field(default_factory=Counter)
    rejected: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)

    def write(self, batch: Sequence[Sent], status: int, document: Any) -> list[Sent]:
        """Write down an answer, event by event (status 0: none came); return what is not settled by it."""
        self.statuses[status] += 1
        results = document.get("results") if isinstance(document, dict) else None
        unsettled = []
        for index, sent in enumerate(batch):
            said = (
                results[index]["status"]
                if results
                else "rejected"
                if 400 <= status < 500 and status != 429
                else "unknown"
            )
            if said == "accepted":
                self.accepted[digest(sent.body)] += 1
            elif said == "rejected":
                self.rejected.add(digest(sent.body))
            else:
                self.unknown.add(digest(sent.body))
                unsettled.append(sent)
        return unsettled


@dataclass(frozen=True)
class Stored:
    """One row of the raw store."""

    sha256: str
    partition: int
    offset: int


def digest(body: bytes) -> str:
    """Name bytes by their content."""
    return hashlib.sha256(body).hexdigest()


async def post_all(
    api: str, key: str, batches: Iterable[Sequence[Sent]], at_once: int = 4, until_settled: bool = False
) -> Ledger:
    """Post batches side by side and write down every answer.

    Until settled, what is unknown or to be retried is sent again as a good client does: after a pause, a bounded
    number of times. What was unknown once may be stored more often than it was accepted, and the ledger says so.
    """
    ledger = Ledger()
    waiting = iter(batches)

    async def post(session: aiohttp.ClientSession) -> None:
        for batch in waiting:
            left = list(batch)
            for _ in range(TRIES if until_settled else 1):
                left = await _post_once(session, api, key, left, ledger)
                if not left:
                    break
                await asyncio.sleep(PAUSE_SECONDS)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        await asyncio.gather(*(post(session) for _ in range(at_once)))
    return ledger


async def _post_once(
    session: aiohttp.ClientSession, api: str, key: str, batch: list[Sent], ledger: Ledger
) -> list[Sent]:
    """Post one batch and write down its answer; return what is not settled by it."""
    body = batch[0].body if len(batch) == 1 else b"[" + b", ".join(sent.body for sent in batch) + b"]"
    headers = {"x-api-key": key, "content-type": "application/json"}
    try:
        async with session.post(api + batch[0].route, data=body, headers=headers) as answer:
            return ledger.write(batch, answer.status, json.loads(await answer.read()))
    except (aiohttp.ClientError, TimeoutError):
        return ledger.write(batch, 0, None)


def read_raw(stack: dict[str, Any]) -> list[Stored]:
    """Read every row of the raw store as the ledger needs it."""
    rows = read_columns(stack, ["event", "kafka_partition", "kafka_offset"])
    return [Stored(digest(row["event"].encode()), row["kafka_partition"], row["kafka_offset"]) for row in rows]


def read_columns(stack: dict[str, Any], columns: list[str]) -> Iterator[dict[str, Any]]:
    """Read columns of every Parquet file of the raw store, with no catalog and no view in between."""
    files = fs.S3FileSystem(
        access_key=stack["admin"]["access_key"],
        secret_key=stack["admin"]["secret_key"],
        endpoint_override=stack["aws"].removeprefix("http://"),
        scheme="http",
        region="us-east-1",
    )
    found = files.get_file_info(fs.FileSelector(f"{stack['buckets']['raw']}/raw", recursive=True, allow_not_found=True))
    for info in found:
        if info.type == fs.FileType.File:
            with files.open_input_file(info.path) as file:
                yield from pq.read_table(file, columns=columns).to_pylist()


def end_offsets(broker: str, topic: str) -> dict[int, int]:
    """Ask Kafka how far each partition of a topic reaches."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "ledger-of-tests", "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        return {number: consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in partitions}
    finally:
        consumer.close()


def find_faults(ledger: Ledger, rows: Iterable[Stored], ends: dict[int, int]) -> list[str]:
    """List everything in which the store and the ledger differ; an empty list is the proof."""
    contents: dict[tuple[int, int], set[str]] = defaultdict(set)
    for row in rows:
        contents[row.partition, row.offset].add(row.sha256)
    # A place may be written twice (delivery is at least once), but never with two contents.
    faults = [
        f"two contents at partition {place[0]} offset {place[1]}" for place, held in contents.items() if len(held) > 1
    ]
    places = {place: min(held) for place, held in contents.items()}
    stored = Counter(places.values())
    for sha256, times in ledger.accepted.items():
        if stored[sha256] < times or (stored[sha256] > times and sha256 not in ledger.unknown):
            faults.append(f"accepted {times} times, stored {stored[sha256]} times: {sha256}")
    faults += [f"rejected but stored: {sha256}" for sha256 in sorted(ledger.rejected) if stored[sha256]]
    known = set(ledger.accepted) | ledger.unknown
    faults += [f"stored but never sent: {sha256}" for sha256 in sorted(set(stored) - known - ledger.rejected)]
    return faults + _find_gaps(places, ends)


def _find_gaps(places: Iterable[tuple[int, int]], ends: dict[int, int]) -> list[str]:
    offsets: dict[int, set[int]] = defaultdict(set)
    for partition, offset in places:
        offsets[partition].add(offset)
    return [
        f"partition {partition} reaches {end}, the store misses {sorted(set(range(end)) - offsets[partition])[:10]}"
        for partition, end in sorted(ends.items())
        if offsets[partition] != set(range(end))
    ]
