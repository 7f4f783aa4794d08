"""`python -m bench.robust`: z-scores by median and MAD beside those by mean and deviation, on planted faults.

Each reading is compared with the 60 before it. No product code computes medians: this shows what they would gain.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import fmean, median, pstdev

from bench.planted import DAYS, FAULTS, GRAIN, MINUTE, START, Score, make_series
from bench.report import Report

DEVICES = 20
BEFORE, LEAST = 60, 30
NORMAL = 1.4826
"""The standard deviation of a normal distribution, in MADs."""
PAUSE = timedelta(hours=6)
RULES = [(3.0, 1, 1), (3.0, 4, 5), (4.0, 4, 5), (6.0, 3, 5)]
"""Deviations, breaches and of how many readings."""


def main() -> None:
    """Plant every fault and print which share each rule catches."""
    report = Report("robust", 12)
    faults = [fault for fault in FAULTS if fault not in ("none", "dropout")]
    report.table("share of planted faults that are caught", [*faults, "false a day"])
    for robust in (False, True):
        for rule in RULES:
            scores = {fault: Score() for fault in FAULTS}
            for fault, score in scores.items():
                for seed in range(DEVICES):
                    values, since = make_series(seed, fault)
                    score.add(judge(values, *rule, robust=robust), fault, since)
            false = sum(each.false for each in scores.values()) / sum(each.days for each in scores.values())
            caught = [scores[fault].caught / scores[fault].planted for fault in faults]
            size, breaches, of = rule
            name = f"  {'median' if robust else 'mean'}, {size:g} deviations, {breaches} of {of}"
            report.line(name, [*caught, false], ".3f", timed=0)
    report.end()


def judge(values: Sequence[float | None], size: float, breaches: int, of: int, *, robust: bool) -> list[datetime]:
    """Return when incidents open on the last day."""
    opened: list[datetime] = []
    latest: list[bool] = []
    for number in range(DAYS * 1440, len(values)):
        value = values[number]
        before = [each for each in values[number - BEFORE : number] if each is not None]
        if value is None or len(before) < LEAST:
            continue
        middle, spread = measure(before, robust=robust)
        latest = [*latest, abs(value - middle) > size * max(spread, GRAIN)][-of:]
        at = START + number * MINUTE
        if latest[-1] and sum(latest) >= breaches and (not opened or at >= opened[-1] + PAUSE):
            opened.append(at)
    return opened


def measure(values: Sequence[float], *, robust: bool) -> tuple[float, float]:
    """Return the middle of some readings, and how far they spread."""
    if not robust:
        return fmean(values), pstdev(values)
    middle = median(values)
    return middle, NORMAL * median(abs(value - middle) for value in values)


if __name__ == "__main__":
    main()
