"""A candidate against its previous version: the breaking changes, whom each hits, and the mapping that covers it."""

from collections.abc import Iterator, Sequence

import msgspec

from sluice.core.consumers import AGGREGATE, DETECT, RECOUNT
from sluice.core.events.contracts import TELEMETRY
from sluice.core.events.units import SeriesBook
from sluice.core.schemas.differences import Difference, compare_schemas
from sluice.core.schemas.errors import UnsupportedSchema
from sluice.core.schemas.fixed_fields import VERSION_FIELD
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
from sluice.core.schemas.versions import MOST_NUMBER, FieldSchema, Place, Version, write_path

_READERS = tuple(consumer.name for consumer in (AGGREGATE, DETECT, RECOUNT))
"""The consumers that read the metrics of each series by the contracts."""
_METRICS = ("properties", "metrics", "properties")


class Mapping(msgspec.Struct, frozen=True):
    """How numbers of the previous version continue in the candidate."""

    text: str
    declared: bool
    """Whether the candidate declares it, by x-series and x-unit. If not, it is a proposal."""


class BreakingChange(msgspec.Struct, frozen=True):
    """A difference by which a candidate breaks its previous version."""

    rule: CompatibilityRule
    place: Place
    previous: str
    new: str
    hits: tuple[str, ...]
    mapping: Mapping | None

    @property
    def path(self) -> str:
        """The field, as in an event."""
        return write_path(self.place)

    @property
    def covered(self) -> bool:
        """Whether the candidate declares the mapping that covers it."""
        return self.mapping is not None and self.mapping.declared


def find_previous_version(candidate: Version, released: Sequence[Version]) -> Version | None:
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


def compare(previous: Version, candidate: Version, book: SeriesBook) -> tuple[BreakingChange, ...]:
    """List the breaking changes of a candidate, by category and compatibility rule."""
    comparison = _Comparison(previous, candidate, book)
    found = map(comparison.judge, comparison.find_differences())
    return tuple(sorted(found, key=lambda change: RULES.index(change.rule)))


class _Comparison:
    """Two versions, and which of their metrics continue each other."""

    def __init__(self, previous: Version, new: Version, book: SeriesBook) -> None:
        self._previous, self._new, self._book = previous, new, book
        gone = [name for each, name in previous.lineage.items() if each not in new.lineage and name not in new.metrics]
        added = [name for name, metric in new.metrics.items() if metric.series is None and name not in previous.metrics]
        # One metric is gone and one is new: they could be the same, if the candidate said so.
        self._rename = (gone[0], added[0]) if len(gone) == len(added) == 1 else None

    def find_differences(self) -> Iterator[Difference]:
        version_field = VERSION_FIELD[self._previous.contract]
        for difference in compare_schemas(self._previous.schema, self._new.schema, ()):
            if difference.place != ("properties", version_field):
                yield difference
        if self._previous.contract == TELEMETRY:
            # The major number differs between any two versions. What follows it must not.
            was, becomes = (str(each.schema.fields[version_field].pattern) for each in (self._previous, self._new))
            if was.partition("\\.")[2] != becomes.partition("\\.")[2]:
                yield Difference(PATTERN_CHANGED, ("properties", version_field), was, becomes)
        for series, name in self._previous.lineage.items():
            yield from self._compare_series(series, name)
        for name in filter(self._new.metrics.__contains__, self._previous.metrics):
            left, joined = self._previous.metrics[name].series, self._new.metrics[name].series
            if left is not None and joined is not None and left != joined:
                yield Difference(SERIES_MOVED, (*_METRICS, name), left, joined, rejects=False)

    def _compare_series(self, series: str, name: str) -> Iterator[Difference]:
        new_name = self._new.lineage.get(series)
        if new_name is None:
            yield Difference(SERIES_LOST, (*_METRICS, name), series, "no series", rejects=False)
            return
        previous, new = self._previous.metrics[name], self._new.metrics[new_name]
        place = (*_METRICS, new_name)
        # Where the name stays, the numbers themselves are compared already.
        known = {difference.rule for difference in compare_schemas(previous, new, place)} if new_name == name else set()
        for difference in compare_schemas(self._in_unit(previous, new), new, place):
            if difference.rule not in known:
                yield difference
        if previous.unit != new.unit:
            yield Difference(UNIT_CHANGED, place, str(previous.unit), str(new.unit), rejects=False)

    def judge(self, difference: Difference) -> BreakingChange:
        series = self._find_series(difference)
        rule = difference.rule
        hits = [
            *(["firmware authors"] if difference.rejects else []),
            *(["consumers of raw events"] if rule.misleads else []),
            *([f"series {series}", *_READERS] if series and (rule.misleads or rule.category == SERIES) else []),
        ]
        mapping = self._find_mapping(difference, series)
        return BreakingChange(rule, difference.place, difference.previous, difference.new, tuple(hits), mapping)

    def _find_series(self, difference: Difference) -> str | None:
        if difference.place[:3] != _METRICS:
            return None
        name = difference.place[3]
        sides = [self._previous.metrics.get(name), self._new.metrics.get(name)]
        if difference.rule is FIELD_NEWLY_REQUIRED:
            # What must be sent now is what the field has become.
            sides.reverse()
        return next((side.series for side in sides if side is not None and side.series is not None), None)

    def _find_mapping(self, difference: Difference, series: str | None) -> Mapping | None:
        if series is None:
            return self._propose_rename(difference)
        old_name, new_name = self._previous.lineage.get(series), self._new.lineage.get(series)
        if old_name is None or new_name is None:
            return None if old_name is None else self._propose_continuation(series, old_name)
        rename = Mapping(f"rename {old_name} -> {new_name}", declared=True) if old_name != new_name else None
        previous, new = self._previous.metrics[old_name], self._new.metrics[new_name]
        if difference.rule is FIELD_REMOVED:
            return rename
        if difference.rule is FIELD_NEWLY_REQUIRED:
            return rename if self._was_required(old_name) else None
        if difference.rule in (TYPE_CHANGED, TYPE_WIDENED):
            return Mapping(f"cast {previous.type} -> {new.type}", declared=True)
        unit = Mapping(f"unit {previous.unit} -> {new.unit}", declared=True)
        if difference.rule is UNIT_CHANGED:
            return unit
        if difference.rule is RANGE_NARROWED and previous.unit != new.unit and rename is None:
            converted = compare_schemas(self._in_unit(previous, new), new, ())
            return None if any(each.rule is RANGE_NARROWED for each in converted) else unit
        return None

    def _propose_continuation(self, series: str, name: str) -> Mapping | None:
        """Propose which metric could continue a series that is lost, if only one could."""
        if name in self._new.metrics:
            kept = self._new.metrics[name].series is None
            return Mapping(f"x-series {series}", declared=False) if kept else None
        return None if self._rename is None else Mapping("rename {} -> {}".format(*self._rename), declared=False)

    def _propose_rename(self, difference: Difference) -> Mapping | None:
        if difference.rule is not FIELD_NEWLY_REQUIRED or self._rename is None:
            return None
        old_name, new_name = self._rename
        if difference.place != (*_METRICS, new_name) or not self._was_required(old_name):
            return None
        return Mapping(f"rename {old_name} -> {new_name}", declared=False)

    def _was_required(self, name: str) -> bool:
        return name in self._previous.schema.fields["metrics"].required

    def _in_unit(self, previous: FieldSchema, new: FieldSchema) -> FieldSchema:
        """Write the range of a metric in the unit of the metric that continues its series."""
        if previous.unit == new.unit or previous.unit is None or new.unit is None:
            return previous
        given, wanted = self._book.units[previous.unit], self._book.units[new.unit]

        def convert(value: float) -> float:
            converted = (value * given.scale + given.offset - wanted.offset) / wanted.scale
            # Twelve digits: 0.1 of one unit is rarely exact in another.
            return float(f"{max(-MOST_NUMBER, min(MOST_NUMBER, converted)):.12g}")

        values = None if previous.values is None else tuple(map(convert, previous.values))
        return msgspec.structs.replace(
            previous, least=convert(previous.least), most=convert(previous.most), values=values
        )
