"""What the demo shows: answers as they come, the broker filling and Parquet appearing."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import boto3
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # exported, not declared
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from cli.simulation.traffic import Tally

REFRESH_SECONDS = 2.0


@dataclass(frozen=True)
class Depths:
    """How far the events have come, as the stores themselves say."""

    stored: int
    waiting: int
    files: int
    bytes: int


class Gauge:
    """Asks the broker and the raw bucket of a stack where the events are."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._admin = AdminClient({"bootstrap.servers": stack["broker"]})
        self._group = stack["consumers"]["archive"]
        self._bucket = stack["buckets"]["raw"]
        login = stack["admin"]
        self._s3 = boto3.client(
            "s3",
            "us-east-1",
            endpoint_url=stack["aws"],
            aws_access_key_id=login["access_key"],
            aws_secret_access_key=login["secret_key"],
        )

    def read(self) -> Depths:
        """Read the depths once."""
        topic = self._admin.list_topics("raw-events", timeout=10).topics["raw-events"]
        places = [TopicPartition("raw-events", number) for number in topic.partitions]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library leaves this one untyped
        found = self._admin.list_offsets(dict.fromkeys(places, latest))
        ends = {place.partition: future.result().offset for place, future in found.items()}
        request = [ConsumerGroupTopicPartitions(self._group, places)]
        done = self._admin.list_consumer_group_offsets(request)[self._group].result().topic_partitions
        read = sum(max(place.offset, 0) for place in done)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="raw/")
        sizes = [item["Size"] for page in pages for item in page.get("Contents", ())]
        return Depths(sum(ends.values()), sum(ends.values()) - read, len(sizes), sum(sizes))


async def watch(tally: Tally, gauge: Gauge, title: str) -> None:
    """Show the tally and the depths until cancelled; a line a time where there is no terminal."""
    console = Console()
    before, began = Counter(tally.statuses), time.monotonic()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            now = time.monotonic()
            depths = await asyncio.to_thread(gauge.read)
            rates = {status: (tally.statuses[status] - before[status]) / (now - began) for status in tally.statuses}
            before, began = Counter(tally.statuses), now
            if console.is_terminal:
                live.update(_draw(tally, depths, rates, title), refresh=True)
            else:
                console.print(summarize(tally, depths), soft_wrap=True)


def summarize(tally: Tally, depths: Depths) -> str:
    """Say it all in one line."""
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(tally.statuses.items())) or "no answers yet"
    return (
        f"{statuses} | broker holds {depths.stored}, {depths.waiting} not yet archived | "
        f"{depths.files} Parquet files, {depths.bytes / 1e6:.1f} MB"
    )


def _draw(tally: Tally, depths: Depths, rates: dict[str, float], title: str) -> Group:
    answers = Table("status", "events", "per second", expand=True)
    for status in ("accepted", "rejected", "retry", "refused"):
        answers.add_row(status, f"{tally.statuses[status]:,}", f"{rates.get(status, 0):,.0f}")
    errors = Table("why not", "events", expand=True)
    for code, count in tally.errors.most_common(6):
        errors.add_row(code, f"{count:,}")
    slow = sorted(tally.latencies) or [0.0]
    way = Table.grid(padding=(0, 2))
    way.add_row("requests", ", ".join(f"{count:,} x {code}" for code, count in sorted(tally.requests.items())))
    way.add_row(
        "answered in", f"{slow[len(slow) // 2] * 1000:.0f} ms median, {slow[-1 - len(slow) // 20] * 1000:.0f} ms p95"
    )
    way.add_row("sent", ", ".join(f"{count:,} {kind}" for kind, count in tally.kinds.most_common()))
    way.add_row("broker", f"{depths.stored:,} events stored, {depths.waiting:,} waiting to be archived")
    way.add_row("raw store", f"{depths.files:,} Parquet files, {depths.bytes / 1e6:,.1f} MB")
    state = "[bold yellow]burst[/]" if tally.bursting else "steady"
    return Group(Panel(way, title=f"{title} · {state}"), answers, errors)
