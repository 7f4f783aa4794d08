"""Series and their units: all values of a series are stored in the unit that the series declares."""

import msgspec

from sluice.core.errors import Ahead, Rejection


class Unit(msgspec.Struct, frozen=True):
    """A unit and its conversion to the first unit of its quantity: value * scale + offset."""

    name: str
    quantity: str
    scale: float
    offset: float


class Series(msgspec.Struct, frozen=True):
    """A series, its stored unit and the resolution of its sensor."""

    unit: str
    resolution: float


class SeriesBook(msgspec.Struct, frozen=True):
    """All declared series and units (schemas/series.json)."""

    units: dict[str, Unit]
    series: dict[str, Series]

    def require(self, series_name: str, unit_name: str) -> None:
        """Raise Ahead for a series or a unit that an accepted event names and this release does not know."""
        if series_name not in self.series:
            raise Ahead(f"series {series_name}")
        if unit_name not in self.units:
            raise Ahead(f"unit {unit_name}")

    def in_series_unit(self, series_name: str, value: float, unit_name: str) -> float:
        """Convert a value to the unit of its series, or refuse it."""
        series = self.series.get(series_name)
        if series is None:
            known = ", ".join(sorted(self.series))
            raise Rejection("unknown_sensor_type", f"{series_name!r} is not a declared series; declared are {known}")
        if unit_name == series.unit:
            return float(value)
        given, wanted = self.units.get(unit_name), self.units[series.unit]
        if given is None or given.quantity != wanted.quantity:
            possible = ", ".join(sorted(name for name, unit in self.units.items() if unit.quantity == wanted.quantity))
            raise Rejection(
                "unit_mismatch",
                f"{series_name} is kept in {series.unit}; {unit_name!r} cannot be converted to it, {possible} can",
            )
        return (value * given.scale + given.offset - wanted.offset) / wanted.scale
