"""AWS's list prices, each with the page that states it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("prices.toml")


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a number of units costs. With tiers, each price holds up to its number of units in a month."""

    usd: float | list[tuple[float, float]]
    unit: str
    source: str
    seen: str
    """When the source said so; `undated` where it has no date, `believed` where no source was found."""
    per: float = 1
    note: str = ""

    def cost(self, units: float) -> float:
        """Return the dollars for a month's units."""
        if not isinstance(self.usd, list):
            return units / self.per * self.usd
        below, dollars = 0.0, 0.0
        for end, usd in self.usd:
            dollars += max(0.0, min(units, end) - below) / self.per * usd
            below = end
        return dollars


Prices = Mapping[str, Price]


def load_prices(file: Path = FILE) -> Prices:
    """Read the price file."""
    return msgspec.convert(tomllib.loads(file.read_text()), dict[str, Price])
