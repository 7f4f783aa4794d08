"""Judging the readings of one device in a batch: one verdict for each rule that has something to say."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from sluice.core.detect.judging import Measured, explain, measure_reading, state_of
from sluice.core.detect.readings import Readings
from sluice.core.detect.rulebook import UNKNOWN_TYPE
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import DeviceStatistics, SeriesStatistics
from sluice.core.detect.verdicts import MOST_READINGS, Judged, State, Statistics, Verdict
from sluice.core.events.units import SeriesBook

MOST_VERDICTS = 8
"""The newest of one series and rule in a batch. A device that sends more than 128 readings in a batch caught up."""


class RulesOfSeries(Protocol):
    """Which rules judge the readings of a series."""

    def __call__(self, fleet_id: str, device_type: str | None, device_id: str, metric: str) -> Sequence[SeriesRule]:
        """Return the rules; none, if nothing is to be judged."""


class Known(msgspec.Struct, frozen=True):
    """What is known of a device beside its readings."""

    statistics: DeviceStatistics | None = None
    watched: frozenset[str] = frozenset()
    """The rules that have an incident of it, or had breaches a moment ago: they have verdicts on clear readings too."""
    last_type: str | None = UNKNOWN_TYPE
    """What its type was in the last statistics that the process had."""

    @property
    def device_type(self) -> str | None:
        """The device's own type. None: it has that of its fleet."""
        return self.statistics.device_type if self.statistics is not None else self.last_type

    def of_series(self, metric: str) -> tuple[DeviceStatistics, SeriesStatistics] | None:
        """Return the statistics with which readings of a series are compared, if there are any."""
        series = self.statistics.series.get(metric) if self.statistics is not None else None
        return (self.statistics, series) if self.statistics is not None and series is not None else None


class _One(msgspec.Struct):
    """A reading as a rule measured it."""

    event: Readings
    value: float
    measured: Measured
    state: State


def judge_device(
    events: Sequence[Readings], rules_of: RulesOfSeries, known: Known, book: SeriesBook, stale_after: timedelta
) -> Iterator[Verdict]:
    """Judge the events of one device, in the order of their offsets."""
    latest = events[-1]
    for metric in dict.fromkeys(metric for event in events for metric in event.metrics):
        rules = rules_of(latest.fleet_id, known.device_type, latest.device_id, metric)
        if not rules:
            continue
        pair = known.of_series(metric)
        grain, unit = book.series[metric].resolution, book.series[metric].unit
        for rule in rules:
            judged = _measure(events, metric, rule, pair, grain)
            for part in select_told(judged, watched=rule.rule_id in known.watched):
                yield _write(part, metric, unit, rule, pair, stale_after)


def select_told(judged: Sequence[_One], *, watched: bool) -> list[Sequence[_One]]:
    """Select the parts of a series' readings that alert must know; nothing, while all is usual.

    A part has at most as many readings as a verdict. Selected are parts with a breach, and the one after each, so that
    no breach seems to be among the latest for longer than it was; of a watched series the first and the last part too.
    """
    parts = [judged[start : start + MOST_READINGS] for start in range(0, len(judged), MOST_READINGS)]
    breached = {number for number, part in enumerate(parts) if any(one.state == "breach" for one in part)}
    told = breached | {number + 1 for number in breached}
    if watched or breached:
        told |= {0, len(parts) - 1} if watched else {len(parts) - 1}
    return [part for number, part in enumerate(parts) if number in told][-MOST_VERDICTS:]


def _measure(
    events: Sequence[Readings],
    metric: str,
    rule: SeriesRule,
    pair: tuple[DeviceStatistics, SeriesStatistics] | None,
    grain: float,
) -> list[_One]:
    found = []
    for event in events:
        value = event.metrics.get(metric)
        if value is None:
            continue
        measured = measure_reading(rule, value, event.at, pair, grain)
        if measured is not None:
            found.append(_One(event, value, measured, state_of(rule, measured.away)))
    return found


def _write(
    part: Sequence[_One],
    metric: str,
    unit: str,
    rule: SeriesRule,
    pair: tuple[DeviceStatistics, SeriesStatistics] | None,
    stale_after: timedelta,
) -> Verdict:
    newest = part[-1]
    cause = next((one for one in reversed(part) if one.state == "breach"), newest)
    return Verdict(
        fleet_id=rule.fleet_id,
        device_id=newest.event.device_id,
        metric=metric,
        unit=unit,
        rule_id=rule.rule_id,
        rule_version=rule.version,
        kind=rule.kind,
        open=rule.open,
        clear=rule.clear,
        breaches=rule.breaches,
        of=rule.of,
        severity=rule.severity,
        source="readings",
        partition=newest.event.origin.partition,
        received_at=newest.event.received_at,
        readings=tuple(_judged(one, rule, unit) for one in part),
        statistics=_statistics(cause, pair, stale_after),
        interval_seconds=pair[1].interval_seconds if pair is not None else None,
        firmware=newest.event.firmware,
        correlation_id=cause.event.correlation_id,
    )


def _judged(one: _One, rule: SeriesRule, unit: str) -> Judged:
    away = None if rule.kind in ("above", "below") else one.measured.away
    why, correlation_id = "", ""
    if one.state == "breach":
        why, correlation_id = explain(rule, one.value, unit, one.measured), one.event.correlation_id
    event = one.event
    return Judged(event.origin.offset, event.at, one.value, one.state, away, event.event_id, why, correlation_id)


def _statistics(
    one: _One, pair: tuple[DeviceStatistics, SeriesStatistics] | None, stale_after: timedelta
) -> Statistics | None:
    if pair is None:
        return None
    usual, computed_at = one.measured.than or pair[1].recent, pair[0].computed()
    stale = is_stale(computed_at, one.event.received_at, stale_after)
    return Statistics(usual.mean, usual.deviation, usual.count, computed_at, stale)


def is_stale(computed_at: datetime, now: datetime, stale_after: timedelta) -> bool:
    """Return whether statistics are older than learn should let them become."""
    return now - computed_at > stale_after


def find_breached(verdicts: Collection[Verdict]) -> int:
    """Count the verdicts that have a breach."""
    return sum(any(one.state == "breach" for one in verdict.readings) for verdict in verdicts)
