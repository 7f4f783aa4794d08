"""What the demo shows: answers as they come, the broker filling and Parquet appearing."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import boto3

# Not AdminClient: in librdkafka 2.16 its list_consumer_group_offsets crashes while a group's coordinator moves.
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from cli.simulation.alert import OverheatingDevice
from cli.simulation.traffic import Tally
from sluice.core.consumers import RAW_EVENTS

REFRESH_SECONDS = 2.0
ANSWER_SECONDS = 30.0


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
        # It asks under archive's name and never joins its group.
        asks = {"group.id": stack["consumers"]["archive"], "enable.auto.commit": False}
        self._client = Consumer({"bootstrap.servers": stack["broker"], **asks})
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
        topic = self._client.list_topics(RAW_EVENTS, timeout=ANSWER_SECONDS).topics[RAW_EVENTS]
        latest = [TopicPartition(RAW_EVENTS, number, OFFSET_END) for number in topic.partitions]
        ends = self._client.offsets_for_times(latest, timeout=ANSWER_SECONDS)
        stored = sum(place.offset for place in ends)
        read = sum(max(place.offset, 0) for place in self._client.committed(ends, timeout=ANSWER_SECONDS))
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="raw/")
        sizes = [item["Size"] for page in pages for item in page.get("Contents", ())]
        return Depths(stored, stored - read, len(sizes), sum(sizes))


async def watch(tally: Tally, gauge: Gauge, title: str, alert: OverheatingDevice | None) -> None:
    """Show the tally, the depths and the alert until cancelled; a line a time where there is no terminal."""
    console = Console()
    before, began = Counter(tally.statuses), time.monotonic()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            now = time.monotonic()
            try:
                depths = await asyncio.to_thread(gauge.read)
            except KafkaException as error:
                console.print(f"the brokers do not answer: {error}")
                continue
            rates = {status: (tally.statuses[status] - before[status]) / (now - began) for status in tally.statuses}
            before, began = Counter(tally.statuses), now
            if console.is_terminal:
                live.update(_draw(tally, depths, rates, title, alert), refresh=True)
            else:
                console.print(summarize(tally, depths, alert), soft_wrap=True)


def summarize(tally: Tally, depths: Depths, alert: OverheatingDevice | None = None) -> str:
    """Say it all in one line."""
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(tally.statuses.items())) or "no answers yet"
    line = (
        f"{statuses} | broker holds {depths.stored}, {depths.waiting} not yet archived | "
        f"{depths.files} Parquet files, {depths.bytes / 1e6:.1f} MB"
    )
    return line if alert is None else f"{line}\n{alert.say()}"


def _draw(tally: Tally, depths: Depths, rates: dict[str, float], title: str, alert: OverheatingDevice | None) -> Group:
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
    if alert is not None:
        way.add_row("alert", alert.say().removeprefix("alert: "))
    state = "[bold yellow]burst[/]" if tally.bursting else "steady"
    return Group(Panel(way, title=f"{title} · {state}"), answers, errors)
