"""What Kafka and its consumers cost: brokers, traffic between zones, pollers, functions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from cli.cost.bill import Position
from cli.cost.figures import Figures
from cli.cost.front import GB, invoked, logged, traced
from cli.cost.templates import Deployed, Pollers
from cli.cost.workload import HOURS, Workload
from sluice.core.consumers import ALERT_EVENTS, DEAD_LETTERS, RAW_EVENTS, REPLAY_EVENTS

POLLERS_OF_A_UNIT = 10
PAYLOAD_BYTES = 6e6
"""What one invocation takes at most."""


def stream(deployed: Deployed, work: Workload, figures: Figures) -> Iterator[Position]:
    """List the brokers, and what it costs to write to them and to read from them."""
    brokers = deployed.brokers
    machine = brokers.instance_type.removeprefix("kafka.").replace(".", "_")
    yield Position("MSK", "brokers", f"msk_broker_hour_kafka_{machine}", brokers.count * HOURS, "size")
    yield Position("MSK", "disks", "msk_storage_gb_month", brokers.count * brokers.storage_gib, "size")
    yield from _between_zones(deployed, work, figures)
    rates = consumed(deployed, work, figures)
    yield from _pollers(deployed, rates, work, figures)
    for verb, rate in rates.items():
        yield from _consumer(deployed, verb, rate, work, figures)


def _pollers(deployed: Deployed, rates: Mapping[str, float], work: Workload, figures: Figures) -> Iterator[Position]:
    """Event sources of a group share its units: at least one, and enough for their fewest pollers and their bytes."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for verb, source in deployed.pollers.items():
        groups[source.group].append(verb)
    hours = 0.0
    for verbs in groups.values():
        always = max(1.0, sum(deployed.pollers[verb].minimum for verb in verbs) / POLLERS_OF_A_UNIT)
        megabytes = sum(rates[verb] * figures.event_bytes.value for verb in verbs) / 1e6
        busy = max(always, megabytes / figures.poller_unit_megabytes.value)
        hours += (busy * work.seconds + always * (HOURS * 3600 - work.seconds)) / 3600
    yield Position("Lambda", "pollers", "event_poller_unit_hour", hours, "time")


def consumed(deployed: Deployed, work: Workload, figures: Figures) -> dict[str, float]:
    """Return the records a second that each consumer reads."""
    rejected = work.events_per_second * figures.rejected_share.value
    # Replays are rare, and each one's plan says what it costs.
    rates = {RAW_EVENTS: work.events_per_second - rejected, DEAD_LETTERS: rejected, REPLAY_EVENTS: 0.0}
    rates[ALERT_EVENTS] = work.events_per_second * figures.verdict_share.value
    return {verb: rates[source.topic] for verb, source in deployed.pollers.items()}


def _between_zones(deployed: Deployed, work: Workload, figures: Figures) -> Iterator[Position]:
    """A client is in another zone than a partition's leader in two of three cases. Each gigabyte is billed twice."""
    elsewhere = (deployed.zones - 1) / deployed.zones
    # A request's events are of many devices, and so of many partitions: a batch of a partition has few records.
    written = work.events * figures.record_bytes.at(max(1.0, work.events_per_request / deployed.brokers.partitions))
    readers = sum(source.topic == RAW_EVENTS for source in deployed.pollers.values())
    for item, copies in (("ingest to brokers", 1), ("brokers to consumers", readers)):
        crossing = written * copies * elsewhere / GB
        yield Position("Traffic between zones", item, "zone_transfer_gb", 2 * crossing, "events")


def batches(source: Pollers, rate: float, figures: Figures) -> float:
    """Return the batches a second that an event source makes of so many records."""
    most = min(source.batch_size, PAYLOAD_BYTES / figures.batch_payload_bytes.value)
    # Every poller gathers for its window, unless it has a full batch before.
    return max(rate / most, min(rate, source.minimum / max(source.window_seconds, 0.5)))


def _consumer(deployed: Deployed, verb: str, rate: float, work: Workload, figures: Figures) -> Iterator[Position]:
    function, runs = deployed.functions[verb], batches(deployed.pollers[verb], rate, figures) * work.seconds
    measured = {"aggregate": figures.aggregate_microseconds, "detect": figures.detect_microseconds}
    each = measured.get(verb, figures.archive_microseconds)
    seconds = runs * figures.batch_milliseconds.value / 1e3 + rate * work.seconds * each.value / 1e6
    yield from invoked(function, runs, seconds, "events")
    yield from traced(function, runs, work.seconds, "events")
    yield from logged(f"metrics of {verb}", runs, figures.batch_line_bytes.value, figures, "time")
