"""Faults planted in made-up series, and what rules find of them: for `bench.detect`.

Readings follow the day, are autocorrelated and have heavy tails, as those of machines. Statistics are computed from the
days before as learn computes them, and readings and series are judged by the production code: m of n is counted here.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean, median, pstdev

import msgspec

from sluice.core.detect.defaults import DEFAULT, SILENCE_METRIC, default_rules_for
from sluice.core.detect.judging import measure_reading, state_of
from sluice.core.detect.judging_series import measure_level, measure_silence, measure_stuck
from sluice.core.detect.learned import Baseline, LearnedDevice, LearnedSeries, describe_device
from sluice.core.detect.series_rules import OF_READINGS, RuleKind, SeriesRule
from sluice.core.detect.statistics import CELLS, Usual, cell_of

DAYS = 7
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
START = datetime(2026, 11, 23, tzinfo=UTC)
TESTED = timedelta(hours=24)
RUNS = 5
"""learn judges a series every so many minutes."""
GRAIN = 0.1
FAULTS = ("none", "spike", "noise", "level", "drift", "stuck", "dropout")
LASTS = timedelta(hours=3)
QUIET = timedelta(hours=6)
"""An incident that ended opens no other for so long: as alert's cool-down would."""


class Score(msgspec.Struct):
    """Of one rule and one kind of fault."""

    caught: int = 0
    planted: int = 0
    false: int = 0
    days: float = 0.0
    delays: list[float] = []

    def add(self, opened: Sequence[datetime], fault: str, since: datetime) -> None:
        """Add a day: the first incident within the fault catches it, and every one outside is false."""
        until = since + LASTS + HOUR
        within = [at for at in opened if fault != "none" and since <= at < until]
        self.planted += fault != "none"
        self.caught += bool(within)
        self.delays += [(within[0] - since).total_seconds() / 60] if within else []
        self.false += len(opened) - len(within)
        self.days += TESTED / timedelta(days=1)

    def delay(self) -> float:
        """Return the usual delay in minutes."""
        return median(self.delays) if self.delays else math.nan


def make_series(seed: int, fault: str) -> tuple[list[float | None], datetime]:
    """Make a reading a minute of eight days, with one fault in the last; return when that begins."""
    draw = random.Random(f"{seed} {fault}")  # noqa: S311 -- a simulation wants to be repeatable
    swing, spread = draw.uniform(0, 6), draw.uniform(0.3, 1.5)
    rest, values = 0.0, list[float | None]()
    many = (DAYS * timedelta(days=1) + TESTED) // MINUTE
    for number in range(many):
        # The innovations are Student's t with four degrees of freedom.
        shock = draw.gauss(0, 1) / math.sqrt(draw.gammavariate(2, 0.5))
        rest = 0.8 * rest + spread * 0.6 * shock
        values.append(50 + swing * math.sin(2 * math.pi * number / 1440) + rest)
    usual = pstdev(value for value in values if value is not None)
    first = DAYS * 1440 + draw.randrange(120, 1440 - 300)
    _plant(values, first, fault, usual, draw)
    return values, START + first * MINUTE


def _plant(values: list[float | None], first: int, fault: str, usual: float, draw: random.Random) -> None:
    lasts = LASTS // MINUTE
    changes: dict[str, Callable[[float, int], float | None]] = {
        "spike": lambda value, number: value + 12 * usual if number < 4 else value,
        "noise": lambda value, _: value + draw.gauss(0, 5 * usual),
        "level": lambda value, _: value + 6 * usual,
        "drift": lambda value, number: value + 10 * usual * number / lasts,
        "stuck": lambda _, __: values[first - 1],
        "dropout": lambda _, __: None,
    }
    change = changes.get(fault)
    for number in range(lasts) if change is not None else ():
        value = values[first + number]
        values[first + number] = change(value, number) if change is not None and value is not None else value


def learn_week(values: Sequence[float | None]) -> Baseline:
    """Compute the baseline of the first days, as learn does."""
    there = [
        (START + number * MINUTE, value) for number, value in enumerate(values[: DAYS * 1440]) if value is not None
    ]
    cells: dict[int, list[float]] = {cell: [] for cell in range(CELLS)}
    hours: dict[datetime, list[float]] = {}
    for at, value in there:
        cells[cell_of(at)].append(value)
        hours.setdefault(at.replace(minute=0), []).append(value)
    means = [fmean(hour) for hour in hours.values()]
    return Baseline(
        counts=[len(cell) for cell in cells.values()],
        means=[fmean(cell) for cell in cells.values()],
        deviations=[pstdev(cell) for cell in cells.values()],
        low=min(value for _, value in there),
        high=max(value for _, value in there),
        hour_count=len(hours),
        hour_mean=fmean(means),
        hour_deviation=pstdev(means),
        least_deviation=min(pstdev(hour) for hour in hours.values()),
        interval_seconds=60.0,
        gap_seconds=60.0,
        active_hours=2**24 - 1,
    )


def run_rules(values: Sequence[float | None], rules: Sequence[SeriesRule]) -> dict[str, list[datetime]]:
    """Judge the last day by each rule, and open an incident when m of n of its latest judgements are breaches."""
    baseline = learn_week(values)
    breaches: dict[str, list[bool]] = {rule.rule_id: [] for rule in rules}
    opened: dict[str, list[datetime]] = {rule.rule_id: [] for rule in rules}
    for at, found in _judge_day(values, baseline, rules):
        for rule in rules:
            if rule.rule_id not in found:
                continue
            latest = breaches[rule.rule_id]
            latest.append(found[rule.rule_id])
            fires = latest[-1] and sum(latest[-rule.of :]) >= rule.breaches
            if fires and (not opened[rule.rule_id] or at >= opened[rule.rule_id][-1] + QUIET):
                opened[rule.rule_id].append(at)
    return opened


def _judge_day(
    values: Sequence[float | None], baseline: Baseline, rules: Sequence[SeriesRule]
) -> Iterator[tuple[datetime, dict[str, bool]]]:
    statistics = None
    for number in range(DAYS * 1440, len(values)):
        at, found = START + number * MINUTE, dict[str, bool]()
        if number % RUNS == 0:
            device = _describe(values, number, baseline)
            statistics = describe_device(device, at)
            found |= _judge_series(device, at, rules)
        value = values[number]
        if value is not None and statistics is not None:
            pair = (statistics, statistics.series["made"])
            for rule in rules:
                if rule.kind in OF_READINGS:
                    measured = measure_reading(rule, value, at, pair, GRAIN)
                    if measured is not None:
                        found[rule.rule_id] = state_of(rule, measured.away) == "breach"
        yield at, found


def _describe(values: Sequence[float | None], number: int, baseline: Baseline) -> LearnedDevice:
    hour = [
        (place, value) for place, value in enumerate(values[number - 60 : number], number - 60) if value is not None
    ]
    there = [value for _, value in hour]
    usual = Usual(fmean(there), pstdev(there), len(there)) if there else None
    last = START + hour[-1][0] * MINUTE if hour else None
    series = LearnedSeries("made", usual, usual, last, learned=True, baseline=baseline)
    seen = next(place for place in range(number - 1, -1, -1) if values[place] is not None)
    return LearnedDevice("made", "made", START + seen * MINUTE, [series])


def _judge_series(device: LearnedDevice, at: datetime, rules: Sequence[SeriesRule]) -> dict[str, bool]:
    (series,) = device.series
    level, stuck, silence = measure_level(series, GRAIN), measure_stuck(series), measure_silence(device, at)
    away = {
        "level": level[0] if level is not None else None,
        "stuck": stuck[0] if stuck is not None else None,
        "silence": silence.away if silence is not None else None,
    }
    found = {rule.rule_id: (rule, away.get(rule.kind)) for rule in rules if rule.kind not in OF_READINGS}
    return {name: state_of(rule, far) == "breach" for name, (rule, far) in found.items() if far is not None}


def list_candidates() -> list[SeriesRule]:
    """List the defaults, and what they were chosen among."""
    others: list[tuple[str, RuleKind, float, int, int]] = [
        ("plain |z| > 3", "zscore", 3.0, 1, 1),
        ("|z| > 3, 4 of 5", "zscore", 3.0, 4, 5),
        ("baseline 3, 4 of 5", "baseline", 3.0, 4, 5),
        ("range, 1 of 1", "range", 0.25, 1, 1),
        ("level 3, 2 of 2", "level", 3.0, 2, 2),
    ]
    return [
        *default_rules_for("made", "made"),
        *default_rules_for("made", SILENCE_METRIC),
        *(
            SeriesRule(
                fleet_id="made",
                rule_id=name,
                version=1,
                metric="made",
                kind=kind,
                open=opens,
                clear=opens,
                breaches=breaches,
                of=of,
            )
            for name, kind, opens, breaches, of in others
        ),
    ]


def measure(devices: int) -> dict[str, dict[str, Score]]:
    """Plant each fault in so many devices; return the scores by rule and by fault, and of all defaults together."""
    rules = list_candidates()
    defaults = [rule.rule_id for rule in rules if rule.rule_id.startswith(DEFAULT)]
    scores: dict[str, dict[str, Score]] = {
        name: {fault: Score() for fault in FAULTS} for name in (*(rule.rule_id for rule in rules), "all defaults")
    }
    for fault in FAULTS:
        for seed in range(devices):
            values, since = make_series(seed, fault)
            found = run_rules(values, rules)
            for name, opened in found.items():
                scores[name][fault].add(opened, fault, since)
            together = sorted(at for name in defaults for at in found[name])
            scores["all defaults"][fault].add(together, fault, since)
    return scores
