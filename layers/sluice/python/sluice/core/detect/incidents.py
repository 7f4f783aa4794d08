"""When breaches open an incident in a backtest: the first does, and then nothing for some readings."""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import msgspec

from sluice.core.detect.rules import Reading, Rule

QUIET = 200
"""How many readings after the opening of an incident open no other one."""


R = TypeVar("R", bound=Reading)


class Opened(msgspec.Struct, Generic[R], frozen=True):
    """An incident that was opened."""

    number: int
    """The number of its reading, from 0."""
    reading: R
    rule: str
    why: str


def open_incidents(readings: Iterable[R], rules: Iterable[Rule]) -> Iterator[Opened[R]]:
    """Judge a series as a stream, and yield an incident as soon as it opens."""
    judges = list(rules)
    quiet_until = 0
    for number, reading in enumerate(readings):
        breaches = [(rule.name, why) for rule in judges if (why := rule.judge(reading)) is not None]
        if breaches and number >= quiet_until:
            quiet_until = number + QUIET + 1
            yield Opened(number, reading, *breaches[0])
