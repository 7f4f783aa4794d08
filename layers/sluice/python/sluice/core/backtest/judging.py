"""Judging the history of a device by one rule, as detect and learn would have: minute by minute.

Minutes without a verdict are skipped. Each of the others has the verdicts that detect or learn would have written, had
alert watched the device. Whether it did is known when the incidents are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.alerts.limits import COOL_DOWN, LEAST_CLEAR, WATCHED
from sluice.core.backtest.histories import DeviceHistory, SeriesHistory, learn_at
from sluice.core.backtest.windows import MINUTE_SECONDS, moment_of
from sluice.core.consumers import RAW_EVENTS
from sluice.core.detect.bounds import find_limits
from sluice.core.detect.device_readings import Known, judge_device
from sluice.core.detect.judging import measure_reading, state_of
from sluice.core.detect.judging_series import is_asleep, judge_series, judge_silence, measure_silence
from sluice.core.detect.learned import describe_device
from sluice.core.detect.readings import Readings
from sluice.core.detect.series_rules import OF_READINGS, SeriesRule
from sluice.core.detect.statistics import DeviceStatistics
from sluice.core.detect.verdicts import Judged, Verdict
from sluice.core.events.units import SeriesBook
from sluice.core.records import Origin

POSITIONS_A_MINUTE = 100_000
"""More readings than a minute is judged by: positions grow along the series."""
NEVER_STALE = timedelta.max


class MinuteVerdicts(msgspec.Struct, frozen=True):
    """What the rule said of a device in one minute."""

    minute: int
    verdicts: Sequence[Verdict]
    breach: bool
    """Without a breach it counts only while alert watches the device."""


class SilentDevices:
    """How many devices of the fleet should send at a moment, and how many of these are silent."""

    def __init__(self) -> None:
        self._expected, self._silent = Counter[int](), Counter[int]()

    def add(self, minute: int, *, silent: bool) -> None:
        """Add a device that should send."""
        self._expected[minute] += 1
        self._silent[minute] += silent

    def is_asleep(self, minute: int) -> bool:
        """Return whether so many are silent that no device is to blame."""
        return is_asleep(self._expected[minute], self._silent[minute])


class Judging(msgspec.Struct, frozen=True):
    """A rule, and how learn works."""

    rule: SeriesRule
    book: SeriesBook
    every: int
    """learn publishes and judges a device every so many minutes."""
    learning: timedelta
    """How long a device must have been there before it is judged by its baseline."""

    def judge(
        self, history: DeviceHistory, since: int, until: int, silent_devices: SilentDevices
    ) -> list[MinuteVerdicts]:
        """Judge a device from one minute up to another."""
        if self.rule.kind in OF_READINGS:
            return list(self._judge_readings(history, since, until))
        if self.rule.kind == "silence":
            return list(self._judge_silence(history, since, until, silent_devices))
        return list(self._judge_series(history, since, until))

    def _judge_readings(self, history: DeviceHistory, since: int, until: int) -> Iterator[MinuteVerdicts]:
        (series,) = history.series
        at, lows, highs = series.minutes.at, series.minutes.lows, series.minutes.highs
        watched, ended_with_breach = _MaybeWatched(self.rule), False
        knowledge = _SeriesKnowledge(self, history, series)
        # A threshold compares with nothing that was learned.
        fixed = self.rule.kind in ("above", "below")
        low, high = knowledge.find_limits(since)
        run = since // self.every
        for place in range(series.minutes.find(since), series.minutes.find(until)):
            minute = at[place]
            if not fixed and minute // self.every != run:
                run = minute // self.every
                low, high = knowledge.find_limits(minute)
            if not watched.on and low <= lows[place] and highs[place] <= high:
                ended_with_breach = False
                continue
            events = knowledge.list_events(place, ended_with_breach=ended_with_breach)
            known = Known(
                knowledge.statistics_at(minute), frozenset((self.rule.rule_id,)) if watched.on else frozenset()
            )
            verdicts = tuple(judge_device(events, self._rules_of, known, self.book, NEVER_STALE))
            if verdicts:
                watched.add(one for verdict in verdicts for one in verdict.readings)
                ended_with_breach = verdicts[-1].readings[-1].state == "breach"
                yield MinuteVerdicts(minute, verdicts, _has_breach(verdicts))

    def _judge_series(self, history: DeviceHistory, since: int, until: int) -> Iterator[MinuteVerdicts]:
        watched = _MaybeWatched(self.rule)
        for minute in self._list_runs(since, until):
            moment = moment_of(minute)
            device = learn_at(history, moment, self.learning)
            (series,) = device.series
            verdict = judge_series(device, series, self.rule, self.book, moment, self._period())
            if verdict is not None:
                yield from watched.take(minute, verdict)

    def _judge_silence(
        self, history: DeviceHistory, since: int, until: int, silent_devices: SilentDevices
    ) -> Iterator[MinuteVerdicts]:
        watched = _MaybeWatched(self.rule)
        for minute in self._list_runs(since, until):
            moment = moment_of(minute)
            device = learn_at(history, moment, self.learning)
            silence = measure_silence(device, moment)
            if silence is None:
                continue
            silent_devices.add(minute, silent=state_of(self.rule, silence.away) == "breach")
            yield from watched.take(minute, judge_silence(device, self.rule, silence, moment, self._period()))

    def _period(self) -> timedelta:
        return timedelta(minutes=self.every)

    def _list_runs(self, since: int, until: int) -> range:
        """List the minutes at which learn judges."""
        return range(-(-since // self.every) * self.every, until, self.every)

    def _rules_of(self, fleet_id: str, device_type: str | None, device_id: str, metric: str) -> Sequence[SeriesRule]:
        del fleet_id, device_type, device_id, metric
        return (self.rule,)


class _MaybeWatched:
    """Whether alert may watch the device: from a breach until an incident of it has surely ended."""

    def __init__(self, rule: SeriesRule) -> None:
        self.on = False
        self._least = max(rule.of, LEAST_CLEAR)
        self._clears = 0
        self._clear_since: datetime | None = None
        self._breached_at: datetime | None = None

    def add(self, judged: Iterable[Judged]) -> None:
        """Take readings in."""
        for one in judged:
            if one.state == "clear":
                self._clears += 1
                self._clear_since = self._clear_since or one.at
            else:
                self._clears, self._clear_since = 0, None
                if one.state == "breach":
                    self.on, self._breached_at = True, one.at
            if self.on and self._has_ended(one.at):
                self.on = False

    def take(self, minute: int, verdict: Verdict) -> Iterator[MinuteVerdicts]:
        """Take a verdict of learn in, and yield it if alert may watch the device."""
        was_on, breach = self.on, _has_breach((verdict,))
        self.add(verdict.readings)
        if was_on or breach:
            yield MinuteVerdicts(minute, (verdict,), breach)

    def _has_ended(self, at: datetime) -> bool:
        if self._clears < self._least or self._clear_since is None or self._breached_at is None:
            return False
        return at - self._clear_since >= COOL_DOWN and at - self._breached_at >= WATCHED


class _SeriesKnowledge:
    """What was known of a series during a run of learn, and the readings of a minute."""

    def __init__(self, judging: Judging, history: DeviceHistory, series: SeriesHistory) -> None:
        self._judging, self._history = judging, history
        self._metric, self._windows = series.metric, series.minutes
        self._grain = judging.book.series[series.metric].resolution
        self._run = -1
        self._statistics: DeviceStatistics | None = None

    def statistics_at(self, minute: int) -> DeviceStatistics | None:
        """Return the statistics that detect had in a minute."""
        run = minute // self._judging.every
        if run != self._run:
            until = moment_of(run * self._judging.every)
            self._run = run
            device = learn_at(self._history, until, self._judging.learning)
            self._statistics = describe_device(device, until)
        return self._statistics

    def find_limits(self, minute: int) -> tuple[float, float]:
        """Return between which values the rule has nothing to say in a minute."""
        pair = Known(self.statistics_at(minute)).of_series(self._metric)
        return find_limits([self._judging.rule], moment_of(minute), pair, self._grain)

    def list_events(self, place: int, *, ended_with_breach: bool) -> list[Readings]:
        """List the readings of a minute, the breaches in a row: beside those of the minute before, or at the end."""
        minute, values = self._windows.at[place], self._windows.list_readings(place, self._grain)
        if len(values) > 1:
            breaches = [value for value in values if self._is_breach(value, minute)]
            others = [value for value in values if not self._is_breach(value, minute)]
            values = [*breaches, *others] if ended_with_breach else [*others, *breaches]
        # Equal readings may have been left out: those that are left keep their distance, at the end with the breaches.
        count = max(self._windows.counts[place], len(values))
        apart = timedelta(seconds=MINUTE_SECONDS / count)
        first = 0 if ended_with_breach else count - len(values)
        return [
            self._make_event(minute, number, value, (first + number) * apart) for number, value in enumerate(values)
        ]

    def _is_breach(self, value: float, minute: int) -> bool:
        pair = Known(self.statistics_at(minute)).of_series(self._metric)
        measured = measure_reading(self._judging.rule, value, moment_of(minute), pair, self._grain)
        return measured is not None and state_of(self._judging.rule, measured.away) == "breach"

    def _make_event(self, minute: int, number: int, value: float, after: timedelta) -> Readings:
        at = moment_of(minute) + after
        return Readings(
            origin=Origin(RAW_EVENTS, 0, minute * POSITIONS_A_MINUTE + number),
            fleet_id=self._history.fleet_id,
            device_id=self._history.device_id,
            event_id=f"{minute}-{number}",
            at=at,
            received_at=at,
            firmware="",
            correlation_id="",
            metrics={self._metric: value},
        )


def _has_breach(verdicts: Iterable[Verdict]) -> bool:
    return any(one.state == "breach" for verdict in verdicts for one in verdict.readings)
