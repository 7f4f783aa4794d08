"""A candidate against the version before it: the breaches, who is hit, and the mapping that mends each."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from sluice.core.events.contracts import TELEMETRY
from sluice.core.events.units import SeriesBook
from sluice.core.schemas.fixed_fields import VERSION_FIELD
from sluice.core.schemas.narrowing import Difference, compare_rules
from sluice.core.schemas.rules import (
    FIELD_NEWLY_REQUIRED,
    FIELD_REMOVED,
    PATTERN_CHANGED,
    RANGE_NARROWED,
    RULES,
    SERIES,
    SERIES_LOST,
    SERIES_MOVED,
    TYPE_CHANGED,
    TYPE_WIDENED,
    UNIT_CHANGED,
    CompatibilityRule,
)
from sluice.core.schemas.unsupported import UnsupportedSchema
from sluice.core.schemas.versions import MOST_NUMBER, FieldRule, Place, Version, write_path

Uses = Callable[[str], Sequence[str]]
"""Names what uses a series. The caller knows it: consumers, and what admins and analysts keep."""

_METRICS = ("properties", "metrics", "properties")


class Mapping(msgspec.Struct, frozen=True):
    """How numbers of the version before continue in the candidate."""

    text: str
    declared: bool
    """Whether the candidate declares it, by x-series and x-unit. If not, it is a proposal."""


class Breach(msgspec.Struct, frozen=True):
    """A difference by which a candidate breaks the version before."""

    rule: CompatibilityRule
    place: Place
    before: str
    after: str
    rejects: bool
    """Whether events that the version before accepts may be rejected, if the devices that send them change nothing."""
    hits: tuple[str, ...]
    mapping: Mapping | None

    @property
    def path(self) -> str:
        """The field, as in an event."""
        return write_path(self.place)

    @property
    def mended(self) -> bool:
        """Whether the candidate declares the mapping that mends it."""
        return self.mapping is not None and self.mapping.declared


def find_before(candidate: Version, released: Sequence[Version]) -> Version | None:
    """Find the version that a candidate follows, or refuse its number or firmware; None: it is the first."""
    same = [version for version in released if version.contract == candidate.contract]
    newest = max((version.number for version in same), default=0)
    for version in same:
        if version.number == candidate.number and version != candidate:
            raise UnsupportedSchema(
                "identity", ("x-version",), f"{version.name} is released and never changes: the next is {newest + 1}"
            )
        if version.number != candidate.number and version.firmware_major == candidate.firmware_major is not None:
            raise UnsupportedSchema(
                "identity", ("x-firmware-major",), f"firmware {version.firmware_major}.x sends {version.name} already"
            )
    if candidate.number < newest and candidate not in same:
        raise UnsupportedSchema("identity", ("x-version",), f"the next version is {newest + 1}")
    return max((each for each in same if each.number < candidate.number), key=lambda each: each.number, default=None)


def compare(before: Version, candidate: Version, book: SeriesBook, uses: Uses) -> tuple[Breach, ...]:
    """List the breaches of a candidate, by category and rule."""
    comparison = _Comparison(before, candidate, book)
    found = [comparison.judge(difference, uses) for difference in comparison.find_differences()]
    return tuple(sorted(found, key=lambda breach: RULES.index(breach.rule)))


class _Comparison:
    """Two versions, and which of their metrics continue each other."""

    def __init__(self, before: Version, after: Version, book: SeriesBook) -> None:
        self._before, self._after, self._book = before, after, book
        self._lost = [series for series in before.lineage if series not in after.lineage]
        # Metrics that could continue a lost series, if they said so.
        self._new = [
            name for name, metric in after.metrics.items() if metric.series is None and name not in before.metrics
        ]

    def find_differences(self) -> Iterator[Difference]:
        version_field = VERSION_FIELD[self._before.contract]
        yield from compare_rules(self._before.rule, self._after.rule, (), version_field)
        if self._before.contract == TELEMETRY:
            # The major number differs between any two versions. What follows it must not.
            was, becomes = (str(each.rule.fields[version_field].pattern) for each in (self._before, self._after))
            if was.partition("\\.")[2] != becomes.partition("\\.")[2]:
                yield Difference(PATTERN_CHANGED, ("properties", version_field), was, becomes)
        for series, name in self._before.lineage.items():
            yield from self._compare_series(series, name)
        for name in filter(self._after.metrics.__contains__, self._before.metrics):
            left, joined = self._before.metrics[name].series, self._after.metrics[name].series
            if left is not None and joined is not None and left != joined:
                yield Difference(SERIES_MOVED, (*_METRICS, name), left, joined, rejects=False)

    def _compare_series(self, series: str, name: str) -> Iterator[Difference]:
        after_name = self._after.lineage.get(series)
        if after_name is None:
            yield Difference(SERIES_LOST, (*_METRICS, name), series, "no series", rejects=False)
            return
        before, after = self._before.metrics[name], self._after.metrics[after_name]
        place = (*_METRICS, after_name)
        # Where the name stays, the numbers themselves are compared already.
        known = {difference.rule for difference in compare_rules(before, after, place)} if after_name == name else set()
        for difference in compare_rules(self._in_unit(before, after), after, place):
            if difference.rule not in known:
                yield difference
        if before.unit != after.unit:
            yield Difference(UNIT_CHANGED, place, str(before.unit), str(after.unit), rejects=False)

    def judge(self, difference: Difference, uses: Uses) -> Breach:
        series = self._find_series(difference)
        rule = difference.rule
        hits = [
            *(["devices"] if difference.rejects else []),
            *(["readers of bytes"] if rule.misleads else []),
            *([f"series {series}", *uses(series)] if series and (rule.misleads or rule.category == SERIES) else []),
        ]
        mapping = self._find_mapping(difference, series)
        return Breach(
            rule, difference.place, difference.before, difference.after, difference.rejects, tuple(hits), mapping
        )

    def _find_series(self, difference: Difference) -> str | None:
        if difference.place[:3] != _METRICS:
            return None
        name = difference.place[3]
        sides = [self._before.metrics.get(name), self._after.metrics.get(name)]
        if difference.rule is FIELD_NEWLY_REQUIRED:
            # What must be sent now is what the field has become.
            sides.reverse()
        return next((side.series for side in sides if side is not None and side.series is not None), None)

    def _find_mapping(self, difference: Difference, series: str | None) -> Mapping | None:
        if series is None:
            return self._propose_rename(difference) if difference.rule is FIELD_NEWLY_REQUIRED else None
        old, new = self._before.lineage.get(series), self._after.lineage.get(series)
        if old is None or new is None:
            return self._propose_continuation(series) if old is not None else None
        rename = Mapping(f"rename {old} -> {new}", declared=True) if old != new else None
        before, after = self._before.metrics[old], self._after.metrics[new]
        if difference.rule is FIELD_REMOVED:
            return rename
        if difference.rule is FIELD_NEWLY_REQUIRED:
            return rename if old in self._before.rule.fields["metrics"].required else None
        if difference.rule in (TYPE_CHANGED, TYPE_WIDENED):
            return Mapping(f"cast {before.type} -> {after.type}", declared=True)
        unit = Mapping(f"unit {before.unit} -> {after.unit}", declared=True)
        if difference.rule is UNIT_CHANGED:
            return unit
        if difference.rule is RANGE_NARROWED and before.unit != after.unit and rename is None:
            converted = compare_rules(self._in_unit(before, after), after, ())
            return None if any(each.rule is RANGE_NARROWED for each in converted) else unit
        return None

    def _propose_continuation(self, series: str) -> Mapping | None:
        """Propose which metric could continue a series that is lost, if only one could."""
        name = self._before.lineage[series]
        if name in self._after.metrics:
            kept = self._after.metrics[name].series is None
            return Mapping(f"x-series {series}", declared=False) if kept else None
        if len(self._new) != 1 or len(self._lost) != 1:
            return None
        return Mapping(f"rename {name} -> {self._new[0]}", declared=False)

    def _propose_rename(self, difference: Difference) -> Mapping | None:
        if len(self._lost) != 1 or difference.place != (*_METRICS, *self._new):
            return None
        return self._propose_continuation(self._lost[0])

    def _in_unit(self, before: FieldRule, after: FieldRule) -> FieldRule:
        """Write the range of a metric in the unit of the metric that continues its series."""
        if before.unit == after.unit or before.unit is None or after.unit is None:
            return before
        given, wanted = self._book.units[before.unit], self._book.units[after.unit]

        def convert(value: float) -> float:
            converted = (value * given.scale + given.offset - wanted.offset) / wanted.scale
            # Twelve digits: 0.1 of one unit is rarely exact in another.
            return float(f"{max(-MOST_NUMBER, min(MOST_NUMBER, converted)):.12g}")

        values = None if before.values is None else tuple(map(convert, before.values))
        return msgspec.structs.replace(before, least=convert(before.least), most=convert(before.most), values=values)
