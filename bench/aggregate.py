"""`make bench`, third part: what an event costs aggregate and its stores, compared with archive.

Runs the handler's own function on a real database and cache, built as in a deployment. Deliveries are dictionaries as
Lambda passes them. A consumer's batch comes from one partition, which has 1,650 of 50,000 devices.
"""

import argparse
import base64
import json
import random
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest import mock

import msgspec
from redis import Redis

from bench.costs import ROUNDS, cpu_seconds
from bench.filling import EVERY, METRICS, fill_entities, fill_samples, name_device
from bench.report import Report
from bench.steps import REST, Steps
from bench.stores import Connection, Stores, running
from functions.aggregate.handler import build
from sluice.core.archive.rows import make_row, pack_rows
from sluice.core.events.contracts import TELEMETRY, Contracts
from sluice.core.events.envelope import HEADER, VERSION, Envelope, write_envelope
from sluice.core.records import read_records
from sluice.core.rollups.resolutions import WIDTHS, floor_to
from sluice.edge.events.schemas import load_contracts
from sluice.edge.failures import consuming, intake
from sluice.edge.metrics import metrics
from sluice.edge.samples import storing
from sluice.edge.samples.counters import Counters
from sluice.edge.samples.duplicate_hints import DuplicateHints
from sluice.edge.samples.numbering import Numbering

FLEETS, DEVICES, PARTITION = 5, 10_000, 1_650
PARTITIONS = 4
"""Whose batches come in turns."""
SIZES = {10_000: 2, 1_000: 8, 200: 15}
"""Events in a batch, and batches in a round."""
STEPPED = (10_000, 1_000)
GROWN = timedelta(minutes=10)
FIRMWARE = "2.4.1"

_WORK = vars(storing)["_Transaction"]  # the transaction, whose steps are otherwise private
STEPS = {
    "read the records": (intake, "sort_records"),
    "numbers of devices": (Numbering, "entities"),
    "ask the cache for known ones": (DuplicateHints, "suspects"),
    "lock what is covered": (storing, "lock_coverage"),
    "load by COPY": (_WORK, "_load"),
    "insert, mark windows": (_WORK, "_insert"),
    "who reported under what": (storing, "write_sightings"),
    "cover": (storing, "extend_coverage"),
    "tell the cache": (DuplicateHints, "mark"),
    "count in the cache": (Counters, "add"),
}


class Spent(msgspec.Struct):
    """Seconds of CPU time by their users, and of wall clock."""

    ours: float
    database: float
    cache: float
    wall: float

    def per(self, events: int) -> "Spent":
        """Return microseconds for each of some events."""
        return Spent(*(1e6 * seconds / events for seconds in msgspec.structs.astuple(self)))

    def better(self, other: "Spent") -> "Spent":
        """Take the lower of each figure."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Spent(*(min(pair) for pair in pairs))


class Partition:
    """One partition's records, one after the other: its devices report in turns, each every ten seconds."""

    def __init__(self, number: int, start: datetime) -> None:
        self._number = number
        self._moment = start
        self._random = random.Random(number)  # noqa: S311 -- a simulation wants to be repeatable
        self._offsets = count()
        every = FLEETS * DEVICES // PARTITION
        self._devices = [divmod(device * every + number, DEVICES) for device in range(PARTITION)]

    def take(self, size: int) -> dict[str, Any]:
        """Write the next batch as Lambda passes it."""
        topic = "raw-events"
        records = [
            {"topic": topic, "partition": self._number, "offset": offset, **self._write(offset)}
            for offset, _ in zip(self._offsets, range(size), strict=False)
        ]
        return {"eventSource": "aws:kafka", "records": {f"{topic}-{self._number}": records}}

    def _write(self, offset: int) -> dict[str, Any]:
        fleet, device = self._devices[offset % PARTITION]
        self._moment += EVERY / PARTITION
        noise = self._random.gauss
        event = {
            "event_id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "device_id": name_device(device),
            "device_firmware_version": FIRMWARE,
            "timestamp": self._moment.isoformat(timespec="milliseconds"),
            "metrics": {name: round(noise(mean, spread), 2) for name, (mean, spread) in METRICS.items()},
        }
        received_at = self._moment + timedelta(milliseconds=200)
        envelope = Envelope(VERSION, received_at, name_fleet(fleet), TELEMETRY, 2, (), "Yk2nTh3xIAMEVrA=")
        return {
            "value": base64.b64encode(json.dumps(event, separators=(",", ":")).encode()).decode(),
            "headers": [{HEADER: list(write_envelope(envelope))}],
        }


class Consumer:
    """Feeds the handler, and measures who uses the time."""

    def __init__(self, stores: Stores, consumer: consuming.BatchConsumer, start: datetime) -> None:
        self._stores = stores
        self._consumer = consumer
        self._partitions = [Partition(number, start) for number in range(PARTITIONS)]
        self._turns = count()
        self.events = 0

    def round(self, size: int, batches: int) -> Spent:
        """Let it take in some batches."""
        deliveries = [self._partitions[next(self._turns) % PARTITIONS].take(size) for _ in range(batches)]
        self.events += size * batches
        began = self._clocks()
        for delivery in deliveries:
            failed = self._consumer.consume(delivery, lambda: 60.0)["batchItemFailures"]
            if failed:
                raise SystemExit(f"a batch that should be taken in came back: {failed}")
        spent = Spent(*(now - then for now, then in zip(self._clocks(), began, strict=True)))
        metrics.clear_metrics()
        return spent

    def _clocks(self) -> tuple[float, ...]:
        stores = self._stores
        cache = cpu_seconds([stores.cache_pid])
        return time.process_time(), stores.database_seconds(), cache, time.perf_counter()


def main() -> None:
    """Fill, measure and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--small", action="store_true", help="a smaller table, for a quick try")
    small: bool = arguments.parse_args().small
    # The middle of an hour, so that everything measured lies in one partition at any time of day.
    hour = floor_to(datetime.now(UTC), WIDTHS["1h"]) - WIDTHS["1h"]
    start = hour + timedelta(minutes=20)
    with running() as stores, stores.connect() as connection:
        fill_entities(connection, [name_fleet(number) for number in range(FLEETS)], DEVICES)
        connection.execute("SELECT ensure_partitions('sample', %s, %s)", [hour - WIDTHS["1h"] * 3, hour])
        consumer = Consumer(stores, wire(stores), start)
        consumer.round(max(SIZES), PARTITIONS)  # connects, and knows the devices
        print("measuring on an empty hour ...", flush=True)
        empty = measure(consumer)
        asked = {size: count_commands(consumer, stores, size) for size in SIZES}
        rows = grow(connection, start, small)
        print(f"measuring on an hour of {rows / 1e6:.1f} million samples ...", flush=True)
        written = _wal(connection)
        before = consumer.events
        grown = measure(consumer)
        written = (_wal(connection) - written) / (consumer.events - before)
        steps = measure_steps(consumer, connection)
        kept = count_samples(connection) - (rows - before)
        archive = measure_archive(load_contracts())
    if kept != consumer.events:
        raise SystemExit(f"{consumer.events} events were taken in, but {kept} samples exist")
    print(f"all {kept} events that were taken in are samples, each once")
    report = Report("aggregate, small" if small else "aggregate", 17)
    report_costs(report, "an empty hour", empty)
    report.line("  commands that the cache runs, per event", list(asked.values()), ".3f", timed=0)
    report_costs(report, f"an hour of {rows / 1e6:.1f} million", grown)
    report_steps(report, steps, archive, grown[max(SIZES)], written)
    report.end()


def name_fleet(number: int) -> str:
    """Name one of the fleets."""
    return f"fleet-{number}"


def wire(stores: Stores) -> consuming.BatchConsumer:
    """Build the function as in a deployment."""
    with mock.patch.dict("os.environ", stores.environment("aggregate")):
        return build()


def measure(consumer: Consumer) -> dict[int, Spent]:
    """Measure batches of every size in turns; microseconds per event."""
    costs = {size: Spent(*[float("inf")] * 4) for size in SIZES}
    for _ in range(ROUNDS):
        for size, batches in SIZES.items():
            costs[size] = costs[size].better(consumer.round(size, batches).per(size * batches))
    return costs


def count_commands(consumer: Consumer, stores: Stores, size: int) -> float:
    """Count what the cache runs for one event, also inside scripts."""
    environment = stores.environment("aggregate")
    with Redis(environment["CACHE_HOST"], int(environment["CACHE_PORT"])) as client:
        client.config_resetstat()
        consumer.round(size, SIZES[size])
        statistics: dict[str, dict[str, int]] = client.info("commandstats")
    return sum(each["calls"] for each in statistics.values()) / (size * SIZES[size])


def measure_steps(consumer: Consumer, connection: Connection) -> list[dict[str, float]]:
    """Measure the steps: for two sizes of batches, our own work and that of the handler's connection."""
    found = connection.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'sluice_aggregate'").fetchall()
    (backend,) = (int(pid) for (pid,) in found)
    ours, database = Steps(STEPS), Steps(STEPS, lambda: cpu_seconds([backend]))
    columns: list[dict[str, float]] = []
    for size in STEPPED:
        events = size * SIZES[size]
        rounds: list[tuple[dict[str, float], dict[str, float]]] = []
        for _ in range(ROUNDS):
            began = cpu_seconds([backend])
            whole = consumer.round(size, SIZES[size]).ours
            rounds.append((ours.take(whole), database.take(cpu_seconds([backend]) - began)))
        columns += [
            {step: 1e6 * min(one[step] for one in side) / events for step in (*STEPS, REST)}
            for side in zip(*rounds, strict=True)
        ]
    return columns


def measure_archive(contracts: Contracts) -> float:
    """Measure what archive does with such a batch, but for the delivery."""
    size, best = max(SIZES), float("inf")
    delivery = Partition(0, datetime.now(UTC)).take(size)
    for _ in range(ROUNDS):
        began = time.process_time()
        list(pack_rows((record.origin, make_row(record, contracts)) for record in read_records(delivery)))
        best = min(best, time.process_time() - began)
    return 1e6 * best / size


def grow(connection: Connection, start: datetime, small: bool) -> int:
    """Fill the partitions that the insert reads: the hour, and some of the two before it."""
    minute = WIDTHS["1m"]
    grown = minute if small else GROWN
    fill_samples(connection, start - grown, start)
    for hour in (start - WIDTHS["1h"], start - 2 * WIDTHS["1h"]):
        fill_samples(connection, hour, hour + grown / 10)
    connection.execute("DELETE FROM dirty")
    connection.execute("ANALYZE sample")
    return count_samples(connection)


def count_samples(connection: Connection) -> int:
    """Count them all."""
    ((rows,),) = connection.execute("SELECT count(*) FROM sample").fetchall()
    return int(rows)


def _wal(connection: Connection) -> float:
    ((position,),) = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8").fetchall()
    return float(position)


def report_costs(report: Report, title: str, costs: dict[int, Spent]) -> None:
    """Report what batches of each size cost."""
    report.table(f"CPU us per event, {title}, batches of", [f"{size:,}" for size in costs])
    for whose in ("ours", "database", "cache"):
        report.line(f"  {whose}", [getattr(each, whose) for each in costs.values()])
    report.line("  wall", [each.wall for each in costs.values()])


def report_steps(
    report: Report, columns: Sequence[dict[str, float]], archive: float, whole: Spent, written: float
) -> None:
    """Report where the time goes, and archive beside it."""
    sides = [f"{side}, {size:,}" for size in STEPPED for side in ("ours", "database")]
    report.table("CPU us per event by steps, batches of", sides)
    for step in (*STEPS, REST):
        report.line(f"  {step}", [column[step] for column in columns], ".2f")
    report.table("beside it")
    report.line(f"  archive, of the same {max(SIZES):,} events", [archive])
    report.line("  aggregate / archive", [whole.ours / archive], timed=0)
    report.line("  database's log, bytes per event of all sizes", [written], ".0f", timed=0)


if __name__ == "__main__":
    main()
