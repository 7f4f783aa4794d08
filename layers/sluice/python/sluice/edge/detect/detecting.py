"""The work of detect: readings of a batch are judged by rules, and verdicts go to alert-events.

read the readings -> find rules and statistics -> a verdict for each rule that has something to say -> store them

It keeps nothing. A batch that is delivered again gives the same verdicts at the same positions, which alert knows.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger

from sluice.core.detect.bounds import Bounds, begin_bounds, find_limits
from sluice.core.detect.defaults import default_rules_for
from sluice.core.detect.device_readings import Known, find_breached, is_stale, judge_device
from sluice.core.detect.readings import Readings, first_of_each, read_readings
from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import OF_READINGS, SeriesRule
from sluice.core.detect.verdicts import Verdict
from sluice.core.errors import Fault, Retryable
from sluice.core.events.contracts import Contracts
from sluice.core.failures.sorting import Faulty
from sluice.core.limits import Limits
from sluice.core.metrics import BREACHES_TOLD, EVENTS_JUDGED, STATISTICS_MISSING, STATISTICS_STALE, VERDICTS_SENT
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.broker import Broker
from sluice.edge.detect.statistics import Device, PublishedStatistics
from sluice.edge.detect.storing import store_verdicts
from sluice.edge.metrics import record
from sluice.edge.published import Published
from sluice.edge.retry import Retry

logger = Logger()

MOST_REMEMBERED = 200_000
"""Series whose rules a process remembers."""
MOST_BOUNDS = 20_000
"""Devices whose bounds it remembers, as many as those whose statistics it does."""


class Detecting:
    """The work of detect."""

    def __init__(
        self,
        contracts: Contracts,
        limits: Limits,
        rules: Published[SeriesRule, Rulebook],
        statistics: PublishedStatistics,
        broker: Broker,
        topic: str,
        stale_after: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._contracts = contracts
        self._limits = limits
        self._rules = rules
        self._statistics = statistics
        self._broker = broker
        self._topic = topic
        self._stale_after = stale_after
        self._clock = clock
        self._book: Rulebook | None = None
        self._remembered: dict[tuple[str, str | None, str, str], tuple[SeriesRule, ...]] = {}
        self._bounds: dict[Device, Bounds] = {}

    def read(self, record: KafkaRecord, now: datetime) -> Readings | None:
        """Read the readings of an event, if they are judged."""
        return read_readings(record, self._contracts, self._limits, now)

    def take_in(self, records: Sequence[tuple[Origin, Readings | None]], retry: Retry) -> set[Origin]:
        """Judge the readings of a batch, and store all verdicts or none."""
        devices: defaultdict[Device, list[Readings]] = defaultdict(list)
        for _, found in records:
            if found is not None and found.metrics:
                devices[found.fleet_id, found.device_id].append(found)
        verdicts = retry.run(lambda: self._judge(devices))
        retry.run(lambda: store_verdicts(self._broker, self._topic, verdicts))
        record(EVENTS_JUDGED, sum(len(events) for events in devices.values()))
        record(VERDICTS_SENT, len(verdicts))
        record(BREACHES_TOLD, find_breached(verdicts))
        return set()

    def ask(self) -> None:
        """Do nothing: no record is accounted for here."""

    def has_done(self, record: KafkaRecord, fault: Fault, now: datetime) -> bool:
        """Return False: no record is accounted for here."""
        del record, fault, now
        return False

    def cover(self, records: Sequence[Faulty], now: datetime) -> None:
        """Do nothing: no record is accounted for here."""

    def _judge(self, devices: dict[Device, list[Readings]]) -> list[Verdict]:
        self._learn_rules(self._clock())
        known = self._statistics.find(devices.keys())
        verdicts: list[Verdict] = []
        missing = stale = 0
        for device, events in devices.items():
            there = known[device]
            statistics = there.statistics
            if statistics is None:
                missing += 1
            elif is_stale(statistics.computed(), events[-1].received_at, self._stale_after):
                stale += 1
            if there.watched or not self._are_usual(device, there, events):
                verdicts += judge_device(
                    first_of_each(events), self._rules_of, there, self._contracts.book, self._stale_after
                )
        record(STATISTICS_MISSING, missing)
        record(STATISTICS_STALE, stale)
        return verdicts

    def _learn_rules(self, now: datetime) -> None:
        """Take the newest rules; Retryable if a process that has none cannot read them."""
        book = self._rules.find(now).content
        if book is not self._book or len(self._remembered) > MOST_REMEMBERED:
            self._book = book
            self._remembered = {}
            self._bounds = {}

    def _are_usual(self, device: Device, known: Known, events: Sequence[Readings]) -> bool:
        """Return whether no rule has anything to say of the events of a device."""
        statistics = known.statistics
        bounds = self._bounds.get(device)
        if bounds is not None and bounds.hold(statistics, events) and bounds.have(events):
            return True
        latest = events[-1]
        if bounds is None or not bounds.hold(statistics, [latest]):
            if len(self._bounds) > MOST_BOUNDS:
                self._bounds = {}
            bounds = self._bounds[device] = begin_bounds(statistics, latest.at)
        name = device[0], known.device_type, device[1]
        for metric in latest.metrics:
            if metric not in bounds.limits:
                rules, grain = self._rules_of(*name, metric), self._contracts.book.series[metric].resolution
                bounds.limits[metric] = find_limits(rules, latest.at, known.of_series(metric), grain)
        return bounds.hold(statistics, events) and bounds.have(events)

    def _rules_of(self, fleet_id: str, device_type: str | None, device_id: str, metric: str) -> Sequence[SeriesRule]:
        """Return the rules for readings of a series; finding them for each batch would cost more than judging."""
        series = (fleet_id, device_type, device_id, metric)
        found = self._remembered.get(series)
        if found is None:
            if self._book is None:
                raise Retryable("no rules are known yet")
            rules = self._book.rules_for(*series) or default_rules_for(fleet_id, metric)
            found = self._remembered[series] = tuple(rule for rule in rules if rule.kind in OF_READINGS)
        return found
