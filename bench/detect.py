"""`make bench`, seventh part: what an event costs detect beside aggregate, what rules find of planted faults and in
labelled series, and what a device-day costs a backtest.

Both consumers are built as in a deployment and take the same batches in one run. Rules and brokers are played: a
process has rules in memory after their first use, and hardly any batch has a verdict.
"""

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from unittest import mock

from bench import labelled, planted
from bench.aggregate import DEVICES, FLEETS, PARTITIONS, SIZES, Consumer, Spent, measure, name_fleet, wire
from bench.backtests import report_backtests
from bench.filling import METRICS, fill_entities, name_device
from bench.report import Report
from bench.stores import Stores, running
from functions.detect import handler as detecting
from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import RuleKind, SeriesRule
from sluice.core.detect.statistics import HOUR_SECONDS, VERSION, DeviceStatistics, SeriesStatistics, Usual
from sluice.core.messages import Message
from sluice.core.rollups.resolutions import WIDTHS, floor_to
from sluice.core.samples.shards import SHARDS, shard_of
from sluice.edge import cache as valkey
from sluice.edge.detect.statistics import publish_statistics
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.kafka_client import Delivery
from sluice.edge.published import Believed
from sluice.edge.settings import CacheSettings

RULES = 1_000
HOURS = 8


class PlayedRules:
    """Rules that were read before."""

    def __init__(self, rules: Iterable[SeriesRule]) -> None:
        self._believed = Believed(Rulebook(rules))

    def find(self, now: datetime) -> Believed[Rulebook]:
        """Return the rules."""
        del now
        return self._believed


class PlayedBroker:
    """A broker that stores everything at once."""

    def __init__(self) -> None:
        self.stored = 0

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        """Count the messages."""
        self.stored += len(messages)
        return [None] * len(messages)


def main() -> None:
    """Publish statistics, measure and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--small", action="store_true", help="statistics of fewer devices, for a quick try")
    small: bool = arguments.parse_args().small
    hour = floor_to(datetime.now(UTC), WIDTHS["1h"]) - WIDTHS["1h"]
    start = hour + timedelta(minutes=20)
    with running() as stores, stores.connect() as connection:
        fill_entities(connection, [name_fleet(number) for number in range(FLEETS)], DEVICES)
        connection.execute("SELECT ensure_partitions('sample', %s, %s)", [hour - WIDTHS["1h"] * 3, hour])
        publish(stores, start, DEVICES // 10 if small else DEVICES)
        broker = PlayedBroker()
        consumers = {
            "defaults": Consumer(stores, build(stores, broker, ()), start),
            f"{RULES:,} rules": Consumer(stores, build(stores, broker, list_rules()), start),
            "aggregate": Consumer(stores, wire(stores), start),
        }
        costs: dict[str, dict[int, Spent]] = {}
        for name, consumer in consumers.items():
            print(f"measuring {name} ...", flush=True)
            consumer.round(max(SIZES), PARTITIONS)
            costs[name] = measure(consumer)
        print(f"{broker.stored} verdicts were sent")
        report = Report("detect, small" if small else "detect", 12)
        report_consumers(report, costs)
        report_faults(report, planted.measure(4 if small else 20))
        print("\nrules for a file, on labelled series", labelled.score() or "which are not here", sep="\n")
        report_backtests(report, stores, connection, name_fleet(0), hour - WIDTHS["1h"] * 24)
    report.end()


def report_consumers(report: Report, costs: Mapping[str, Mapping[int, Spent]]) -> None:
    """Report what an event costs detect, beside aggregate."""
    report.table("CPU us per event, batches of", [f"{size:,}" for size in SIZES])
    for name, found in costs.items():
        whose = name if name == "aggregate" else f"detect, {name}"
        report.line(f"  {whose}", [each.ours for each in found.values()])
        report.line(f"  {whose}: cache", [each.cache for each in found.values()])
    report.table("beside it, batches of", [f"{size:,}" for size in SIZES])
    for name in list(costs)[:2]:
        shares = [costs[name][size].ours / costs["aggregate"][size].ours for size in SIZES]
        report.line(f"  detect / aggregate, {name}", shares, ".2f", timed=0)
    few, many = (costs[name] for name in list(costs)[:2])
    report.line("  many rules / defaults", [many[size].ours / few[size].ours for size in SIZES], ".2f", timed=0)


def report_faults(report: Report, scores: Mapping[str, Mapping[str, planted.Score]]) -> None:
    """Report which share of each fault every rule caught, its precision and false alarms, and how late it was."""
    faults = [fault for fault in planted.FAULTS if fault != "none"]
    report.table("share of planted faults that are caught", [*faults, "precision", "false a day"])
    for name, found in scores.items():
        false, days, right = (
            sum(getattr(each, what) for each in found.values()) for what in ("false", "days", "caught")
        )
        caught = [found[fault].caught / found[fault].planted for fault in faults]
        precision = right / (right + false) if right + false else math.nan
        report.line(f"  {name}", [*caught, precision, false / days], ".3f", timed=0)
    report.table("minutes until it is caught, usually", faults)
    for name, found in scores.items():
        report.line(f"  {name}", [found[fault].delay() for fault in faults], ".0f", timed=0)


def build(stores: Stores, broker: PlayedBroker, rules: Iterable[SeriesRule]) -> BatchConsumer:
    """Build the function as in a deployment, with these rules."""
    played: Any = PlayedRules(rules)
    with (
        mock.patch.dict("os.environ", stores.environment("detect")),
        mock.patch.object(detecting, "make_rulebook", return_value=played),
        mock.patch.object(detecting, "Broker", return_value=broker),
    ):
        return detecting.build.__wrapped__()


def list_rules() -> list[SeriesRule]:
    """Make rules of every kind that judges readings: for whole fleets, and for single devices."""
    kinds: list[tuple[RuleKind, float, float]] = [
        ("above", 1e6, 1e5),
        ("zscore", 12, 6),
        ("baseline", 12, 6),
        ("range", 1.0, 0.5),
    ]
    rules: list[SeriesRule] = []
    places = cycle((fleet, metric) for fleet in range(FLEETS) for metric in METRICS)
    for number, (fleet, metric) in zip(range(RULES), places, strict=False):
        turn = number // (FLEETS * len(METRICS))
        kind, opens, clears = kinds[turn % len(kinds)]
        rules.append(
            SeriesRule(
                fleet_id=name_fleet(fleet),
                rule_id=f"rule-{number}",
                version=1,
                metric=metric,
                # The first of each series is for the whole fleet, the others for one device each.
                device_id=None if turn == 0 else name_device(turn * 97),
                kind=kind,
                open=opens,
                clear=clears,
            )
        )
    return rules


def publish(stores: Stores, now: datetime, devices: int) -> None:
    """Publish statistics of every device, as learn would."""
    place = CacheSettings.from_environ(stores.environment("detect"))
    cache = valkey.Cache(lambda: valkey.connect(place))
    series = {
        name: SeriesStatistics(
            Usual(mean, spread, 360),
            10.0,
            mean - 6 * spread,
            mean + 6 * spread,
            tuple(Usual(mean, spread, 2520) for _ in range(HOURS)),
        )
        for name, (mean, spread) in METRICS.items()
    }
    described = DeviceStatistics(VERSION, now.timestamp(), int(now.timestamp()) // HOUR_SECONDS - 1, series)
    named = ((name_fleet(fleet), name_device(number)) for fleet in range(FLEETS) for number in range(devices))
    shards: dict[int, dict[tuple[str, str], DeviceStatistics]] = {shard: {} for shard in range(SHARDS)}
    for device in named:
        shards[shard_of(*device)][device] = described
    for shard, there in shards.items():
        publish_statistics(cache, shard, there)


if __name__ == "__main__":
    main()
