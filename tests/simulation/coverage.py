"""Which steps met which faults, as a table."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tests.simulation.faults import ANSWER_LOST, AWAY, KILLED_AFTER, KILLED_BEFORE, NO_ANSWER, PARTLY, SLOW

COLUMNS = ("-", SLOW, KILLED_BEFORE, KILLED_AFTER, NO_ANSWER, ANSWER_LOST, PARTLY, AWAY)
Met = Mapping[tuple[str, str, str], int]


def add_up(mets: Iterable[Met]) -> Counter[tuple[str, str, str]]:
    """Add up what several histories met."""
    total: Counter[tuple[str, str, str]] = Counter()
    for met in mets:
        total.update(met)
    return total


def write_table(met: Met) -> list[str]:
    """Write the table: a line for each step of a function, a column for each fault; the first is without any."""
    steps = sorted({(function, step) for function, step, _ in met})
    width = max((len(f"{function}: {step}") for function, step in steps), default=0)
    heads = ["fine" if name == "-" else name for name in COLUMNS]
    lines = [" ".join([" " * width, *(f"{head:>13}" for head in heads)])]
    for function, step in steps:
        numbers = [met.get((function, step, name), 0) for name in COLUMNS]
        lines.append(" ".join([f"{f'{function}: {step}':<{width}}", *(f"{number or '':>13}" for number in numbers)]))
    return lines


def count_pairs(met: Met) -> int:
    """Count the pairs of a step and a fault that happened."""
    return sum(1 for _, _, name in met if name != "-")
