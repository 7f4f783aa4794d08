"""What else a team could buy for the same events, at the same prices, and what each lacks."""

from collections.abc import Callable, Iterator

import msgspec

from cli.cost.bill import Bill, Line, Position, write_bill
from cli.cost.figures import Figures
from cli.cost.front import GB
from cli.cost.prices import Prices
from cli.cost.workload import DAYS, HOURS, Workload

REDUNDANT = 2
"""The fewest machines that survive the loss of a zone."""
SPARE = 3
"""How many times the average machines have room for, which are not made for a peak and removed after it."""


class Alternative(msgspec.Struct, frozen=True):
    """Another way to take in, keep and query events."""

    name: str
    lacks: str
    replaces: Callable[[Line], bool]
    """Which lines of our bill it makes superfluous."""
    build: Callable[[Workload, Figures], Iterator[Position]]

    def bill(self, ours: Bill, work: Workload, figures: Figures, prices: Prices) -> Bill:
        """Write its bill: ours without what it replaces, and its own."""
        own = write_bill((position for position in self.build(work, figures) if position.units), prices)
        return Bill(tuple(line for line in ours.lines if not self.replaces(line)) + own.lines)


def _is_front(line: Line) -> bool:
    return line.item.startswith("ingest, ") or (line.service == "API Gateway" and line.driver == "requests")


def _containers(work: Workload, figures: Figures) -> Iterator[Position]:
    yield from _balancer(work, figures)
    busy = work.events_per_second * figures.ingest_core_microseconds.at(work.events_per_request) / 1e6
    yield from _tasks(max(REDUNDANT, SPARE * busy), 2)
    answered = work.requests * figures.answer_bytes.at(work.events_per_request)
    yield Position("Load balancer", "answers to devices", "internet_out_gb", answered / GB, "requests")


def _kinesis(work: Workload, _figures: Figures) -> Iterator[Position]:
    # A shard takes a thousand records a second, and is not made and removed by the hour.
    shards = SPARE * work.events_per_second / 1000
    yield Position("Kinesis", "shards", "kinesis_shard_hour", shards * HOURS, "size")
    yield Position("Kinesis", "records", "kinesis_put_unit", work.events, "events")


def _iot_core(work: Workload, figures: Figures) -> Iterator[Position]:
    # Basic Ingest: a message goes to its rule without a broker, and is not billed as one. Metered in steps of 5 KB.
    messages = work.requests * -(-work.events_per_request * figures.event_bytes.value // 5_000)
    yield Position("IoT Core", "connections", "iot_core_connectivity_minute", work.devices * work.seconds / 60, "size")
    yield Position("IoT Core", "rules", "iot_core_rule", messages, "requests")
    yield Position("IoT Core", "actions", "iot_core_action", messages, "requests")


def _clickhouse(work: Workload, figures: Figures) -> Iterator[Position]:
    yield from _balancer(work, figures)
    # Vector takes some 10 microseconds of a core per event: assumed, as is a core of ClickHouse per 10,000 events.
    yield from _tasks(max(REDUNDANT, SPARE * work.events_per_second * 10e-6), 2)
    nodes = max(2.0, 2 * SPARE * work.events_per_second / 40_000)
    yield Position("EC2", "ClickHouse, two replicas", "ec2_hour_r7g_xlarge", nodes * HOURS, "size")
    stored = work.events / DAYS * 90 * figures.stored_bytes.value / 2 / GB
    yield Position("EC2", "volumes, two replicas of 90 days", "ebs_gp3_gb_month", 2 * stored, "events")
    written = 2 * work.events * figures.event_bytes.value / 4 / GB
    yield Position("Traffic between zones", "to replicas", "zone_transfer_gb", 2 * written, "events")


def _balancer(work: Workload, figures: Figures) -> Iterator[Position]:
    """A capacity unit is 25 new connections a second, 3,000 open ones or a gigabyte an hour: the largest counts."""
    gigabytes = work.events_per_second * 3600 * figures.event_bytes.value / GB
    units = max(work.devices / 3000, gigabytes)
    yield Position("Load balancer", "hours", "alb_hour", HOURS, "size")
    yield Position("Load balancer", "capacity", "alb_lcu_hour", units * work.seconds / 3600, "requests")


def _tasks(cores: float, gigabytes_a_core: float) -> Iterator[Position]:
    yield Position("Fargate", "cores", "fargate_arm_vcpu_hour", cores * HOURS, "requests")
    yield Position("Fargate", "memory", "fargate_arm_gb_hour", cores * gigabytes_a_core * HOURS, "requests")


ALTERNATIVES = (
    Alternative(
        "Load balancer and containers in front",
        "It scales by minutes and not by requests, and a team patches and deploys containers. Everything else stays.",
        _is_front,
        _containers,
    ),
    Alternative(
        "Kinesis instead of MSK",
        "Its sequence numbers have gaps, so that no ledger can prove that none is missing. Retries store records twice."
        " A shard takes a thousand records a second, and hot devices share one.",
        lambda line: line.service in ("MSK", "Traffic between zones") or line.item == "pollers",
        _kinesis,
    ),
    Alternative(
        "IoT Core in front",
        "It accepts a message before anyone has checked it: a device never hears what was wrong. An action that fails"
        " drops its message unless a second action is paid for. Each device needs a certificate.",
        lambda line: _is_front(line) or line.driver == "requests",
        _iot_core,
    ),
    Alternative(
        "Load balancer, Vector and ClickHouse",
        "It has no checks, no answer for each event, no ledger, no proof and no replay of raw events. A team operates"
        " two machines and their disks. It fits teams that need no proof that their numbers are complete.",
        lambda _: True,
        _clickhouse,
    ),
)
