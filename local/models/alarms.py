"""A model of CloudWatch's alarms: those of the templates, over the metrics that functions and models really wrote.

Modelled: alarms on one metric and on metric math (`expressions`); Sum, Maximum, Minimum, Average, SampleCount and p99
of a period; periods in a row above a bound; missing data that breaches, does not breach, or leaves the state; alarms
over other alarms, and what they page (`outages`). An alarm is evaluated each minute, over the periods that end then;
AWS evaluates one that looks at more than a day once an hour. A period's minutes are as short as a schedule's: an alarm
lasts for as many runs of a function as on AWS. Values are not scaled: a bound of 900 seconds is a real quarter of an
hour.

Not modelled: the minutes after which CloudWatch has a value, the older values that it looks for when the newest are
missing, the state INSUFFICIENT_DATA (an alarm begins as OK), and every metric that no one writes here: an alarm on one
of those is named as unknown, and is off in the rules of others.

It is no process: who asks reads the lines that are there, and evaluates them at a time of his own.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from local.models.config import AlarmConfig, AlarmsConfig, MetricConfig, read
from local.models.expressions import Expression, Value
from local.models.outages import Change, Outages
from local.models.poller import DELIVERED, DROPPED, FAILED

STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "p99": lambda values: sorted(values)[ceil(0.99 * len(values)) - 1],
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}
OF_MODELS = {("AWS/Lambda", name) for name in (FAILED, DELIVERED, DROPPED)}
"""AWS's own metrics that models write."""


class _Series(NamedTuple):
    """The values of one metric, in the order of their times."""

    times: list[float]
    values: list[float]

    def between(self, start: float, end: float) -> Sequence[float]:
        return self.values[bisect_left(self.times, start) : bisect_left(self.times, end)]


_Key = tuple[str, str, frozenset[tuple[str, str]]]
_EMPTY = _Series([], [])


def is_written(metric: MetricConfig) -> bool:
    """Whether anyone writes a metric here: functions write all that are not AWS's own."""
    return not metric.namespace.startswith("AWS/") or (metric.namespace, metric.name) in OF_MODELS


class Alarms:
    """All alarms of a stack, over what was written until they were read."""

    def __init__(self, config: AlarmsConfig, lines: Iterable[bytes]) -> None:
        self._minute = config.minute_seconds
        self._series = _read_series(lines)
        self.unknown: dict[str, list[str]] = {}
        """Alarms that cannot be evaluated, with the metrics that no one writes here."""
        self._known: list[_Alarm] = []
        self._outages = Outages(config.outages, self._minute)
        for alarm in config.alarms:
            unwritten = [
                f"{one.namespace} {one.name}"
                for one in alarm.metrics
                if not is_written(one) and _key(one.namespace, one.name, one.dimensions) not in self._series
            ]
            if unwritten:
                self.unknown[alarm.name] = unwritten
            else:
                self._known.append(_Alarm(alarm, self._minute))

    @classmethod
    def read(cls, directory: Path) -> "Alarms":
        """Read the alarms of a stack's directory, and all that was written there so far."""
        config = read(AlarmsConfig, directory / "state" / "models" / "alarms.json")
        return cls(config, _read_lines(map(Path, config.logs)))

    @property
    def known(self) -> set[str]:
        """The names of the alarms that can be evaluated."""
        return {one.config.name for one in self._known}

    def changes(self, now: float) -> list[Change]:
        """Evaluate every minute from the first value until a moment; return what went on or off, in order."""
        first = min((series.times[0] for series in self._series.values()), default=now)
        minutes = range(int(first // self._minute) + 1, int(now // self._minute) + 1)
        found = [change for alarm in self._known for change in self._follow(alarm, minutes)]
        return sorted(found)

    def outages(self, now: float) -> list[Change]:
        """Return which outages began and ended until a moment, in order."""
        return self._outages.changes(self.changes(now))

    def pages(self, now: float) -> list[Change]:
        """Return for which outages someone was paged until a moment, in order."""
        return self._outages.pages(self.changes(now), now)

    def on(self, now: float) -> set[str]:
        """Return the alarms that are in ALARM at a moment."""
        return {change.alarm for change in self._last(now) if change.on}

    def on_since(self, since: float, now: float) -> set[str]:
        """Return the alarms that were in ALARM at any time since a moment."""
        return self.on(since) | {change.alarm for change in self.changes(now) if change.on and change.at > since}

    def _last(self, now: float) -> Iterable[Change]:
        return {change.alarm: change for change in self.changes(now)}.values()

    def _follow(self, alarm: "_Alarm", minutes: Iterable[int]) -> Iterator[Change]:
        on = False
        for minute in minutes:
            before, on = on, alarm.judge(self._series, minute * self._minute, on)
            if on != before:
                yield Change(minute * self._minute, alarm.config.name, on)


class _Alarm:
    """One alarm that can be evaluated."""

    def __init__(self, config: AlarmConfig, minute_seconds: float) -> None:
        self.config = config
        self._expression = Expression(config.expression, [metric.id for metric in config.metrics])
        (period,) = {metric.period_seconds for metric in config.metrics}
        self._period = period / 60 * minute_seconds

    def judge(self, series: Mapping[_Key, _Series], at: float, on: bool) -> bool:
        """Return whether it is in ALARM after an evaluation, from whether it was before."""
        ends = [at - number * self._period for number in range(self.config.periods + 1)]
        found = [self._value(series, start, end) for end, start in pairwise(ends)]
        breaching = sum(value is not None and value > self.config.above for value in found)
        missing = found.count(None)
        match self.config.missing:
            case "breaching":
                return breaching + missing == self.config.periods
            case "notBreaching":
                return breaching == self.config.periods
            case "ignore":
                # As long as the missing ones could decide, the state stays.
                undecided = missing > 0 and breaching + missing == self.config.periods
                return on if undecided else breaching == self.config.periods

    def _value(self, series: Mapping[_Key, _Series], start: float, end: float) -> Value:
        values: dict[str, Value] = {}
        for metric in self.config.metrics:
            found = series.get(_key(metric.namespace, metric.name, metric.dimensions), _EMPTY).between(start, end)
            values[metric.id] = STATISTICS[metric.statistic](found) if found else None
        return self._expression.compute(values)


def _key(namespace: str, name: str, dimensions: Mapping[str, str]) -> _Key:
    return namespace, name, frozenset(dimensions.items())


def _read_lines(logs: Iterable[Path]) -> Iterator[bytes]:
    for log in logs:
        if log.exists():
            yield from log.read_bytes().splitlines()


def _read_series(lines: Iterable[bytes]) -> dict[_Key, _Series]:
    """Read the metrics among the lines of logs, by all that names them."""
    found: dict[_Key, list[tuple[float, float]]] = {}
    for line in lines:
        if b'"_aws":' not in line:
            continue
        try:
            document: dict[str, Any] = msgspec.json.decode(line[line.index(b"{") :])
        except msgspec.DecodeError:
            continue  # the last line may still be being written
        at = document["_aws"]["Timestamp"] / 1000
        for described in document["_aws"]["CloudWatchMetrics"]:
            for names in described["Dimensions"]:
                dimensions = {name: document[name] for name in names}
                for metric in described["Metrics"]:
                    key = _key(described["Namespace"], metric["Name"], dimensions)
                    found.setdefault(key, []).extend((at, value) for value in document[metric["Name"]])
    return {
        key: _Series(*([one[number] for one in sorted(values)] for number in (0, 1))) for key, values in found.items()
    }
