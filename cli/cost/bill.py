"""A bill: lines of a quantity and its price, each with what makes it grow."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from cli.cost.prices import Prices
from cli.stages import CommandError

Driver = Literal["size", "time", "requests", "events", "questions"]
"""What a line grows with: the deployment's size, the hours that devices report, their requests, their events, and what
readers ask."""


class Line(msgspec.Struct, frozen=True):
    """One position."""

    service: str
    item: str
    price: str
    """Its name in the price file."""
    units: float
    driver: Driver
    usd: float


class Bill(msgspec.Struct, frozen=True):
    """All positions of a month."""

    lines: tuple[Line, ...]

    @property
    def total(self) -> float:
        """The month's dollars."""
        return sum(line.usd for line in self.lines)

    def by(self, what: Callable[[Line], str]) -> Mapping[str, float]:
        """Add the lines up by something of theirs; the most expensive first."""
        sums: defaultdict[str, float] = defaultdict(float)
        for line in self.lines:
            sums[what(line)] += line.usd
        return dict(sorted(sums.items(), key=lambda each: -each[1]))


class Position(msgspec.Struct, frozen=True):
    """A quantity that some part of the deployment uses, not yet priced."""

    service: str
    item: str
    price: str
    units: float
    driver: Driver


def write_bill(positions: Iterable[Position], prices: Prices) -> Bill:
    """Price positions. A tier is used up by all positions of the same price together, and shared in proportion."""
    listed = [position for position in positions if position.units]
    units: defaultdict[str, float] = defaultdict(float)
    for position in listed:
        units[position.price] += position.units
    if unknown := sorted(units.keys() - prices.keys()):
        raise CommandError(f"cli/cost/prices.toml has no price of: {', '.join(unknown)}")
    each = {name: prices[name].cost(total) / total for name, total in units.items()}
    return Bill(
        tuple(
            Line(one.service, one.item, one.price, one.units, one.driver, one.units * each[one.price]) for one in listed
        )
    )
