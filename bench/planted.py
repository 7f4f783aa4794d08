"""Faults planted in made-up series, and what rules find of them: for `bench.detect`.

Readings follow the day, are autocorrelated and have heavy tails, as those of machines. Statistics are computed from the
days before as learn computes them, and each rule is backtested by the production code.
"""

import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean, median, pstdev

import msgspec

from sluice.core.backtest.histories import DayBaseline, DeviceHistory, SeriesHistory
from sluice.core.backtest.judging import Judging, SilentDevices
from sluice.core.backtest.opening import open_incidents
from sluice.core.backtest.windows import DAY_MINUTES, Windows, minute_of, moment_of
from sluice.core.detect.defaults import DEFAULT, SILENCE_METRIC, default_rules_for
from sluice.core.detect.learned import Baseline
from sluice.core.detect.series_rules import RuleKind, SeriesRule
from sluice.core.detect.statistics import CELLS, cell_of
from sluice.core.events.units import Series, SeriesBook

DAYS = 7
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
START = datetime(2026, 11, 23, tzinfo=UTC)
TESTED = timedelta(hours=24)
RUNS = 5
"""learn judges a series every so many minutes."""
GRAIN = 0.1
FAULTS = ("none", "spike", "noise", "level", "drift", "stuck", "dropout")
LASTS = timedelta(hours=3)
GUESSES = 6
BOOK = SeriesBook({}, {"made": Series("degC", GRAIN)})


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
    """Return when each rule opens incidents on the last day."""
    week = learn_week(values)
    return {rule.rule_id: run_rule(values, week, rule) for rule in rules}


def run_rule(values: Sequence[float | None], week: Baseline, rule: SeriesRule) -> list[datetime]:
    """Judge the last day by a rule, as a backtest does."""
    since, silent_devices = minute_of(START) + DAYS * DAY_MINUTES, SilentDevices()
    until = minute_of(START) + len(values)
    history = make_history(values, week, rule)
    told = Judging(rule, BOOK, RUNS, timedelta(days=DAYS)).judge(history, since, until, silent_devices)
    opened = open_incidents(told, silent_devices, moment_of(until), silence=rule.kind == "silence")
    return [one.incident.opened_at for one in opened]


def guess(seed: int, fault: str) -> list[datetime]:
    """Open incidents at random, about as often as plain |z| > 3 does."""
    draw = random.Random(f"{seed} {fault} at random")  # noqa: S311 -- a simulation wants to be repeatable
    begin = START + DAYS * timedelta(days=1)
    return [begin + number * MINUTE for number in sorted(draw.sample(range(DAY_MINUTES), GUESSES))]


def make_history(values: Sequence[float | None], week: Baseline, rule: SeriesRule) -> DeviceHistory:
    """Make what would be stored of the device."""
    there = [(number, value) for number, value in enumerate(values, minute_of(START)) if value is not None]
    readings = [value for _, value in there]
    at = [minute for minute, _ in there]
    silence = rule.kind == "silence"
    minutes = Windows(at, [1] * len(at), readings, [0.0] * len(at), readings, readings)
    baseline = DayBaseline(START + DAYS * timedelta(days=1), START, week)
    series = SeriesHistory("made", Windows() if silence else minutes, [baseline])
    return DeviceHistory("made", "made", START, [series], sent=at if silence else ())


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
    names = (*(rule.rule_id for rule in rules), "all defaults", "never", "at random")
    scores: dict[str, dict[str, Score]] = {name: {fault: Score() for fault in FAULTS} for name in names}
    for fault in FAULTS:
        for seed in range(devices):
            values, since = make_series(seed, fault)
            found = {**run_rules(values, rules), "never": [], "at random": guess(seed, fault)}
            for name, opened in found.items():
                scores[name][fault].add(opened, fault, since)
            together = sorted(at for name in defaults for at in found[name])
            scores["all defaults"][fault].add(together, fault, since)
    return scores
