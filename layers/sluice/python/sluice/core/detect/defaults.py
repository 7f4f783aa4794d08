"""The rules for a series that has none of its own: few, and quiet. docs/detect.md says why these."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec

from sluice.core.detect.series_rules import RuleKind, SeriesRule, Severity
from sluice.core.probe.event import FLEET as PROBE_FLEET

DEFAULT = "default-"
"""How the ids of defaults begin, and no other rule's: an incident of one must not look like another's."""
SILENCE_METRIC = ""
"""The metric of rules for a device as a whole."""


class _Default(msgspec.Struct, frozen=True):
    """One default, for whatever series."""

    kind: RuleKind
    open: float
    clear: float
    breaches: int
    of: int
    severity: Severity


# Shown, and nobody is woken: one false alarm in a hundred days of a series is two thousand a day of 200,000 series.
# A reading beyond the range is a breach when one of the two before it was one too: a single wrong value wakes nobody.
_OF_SERIES = (
    _Default("range", 0.25, 0.1, 2, 3, "info"),
    _Default("level", 4.0, 2.0, 2, 2, "info"),
    _Default("stuck", 0.05, 0.2, 2, 2, "info"),
)
_OF_DEVICES = (_Default("silence", 10.0, 2.0, 2, 2, "warning"),)


@lru_cache(4096)
def default_rules_for(fleet_id: str, metric: str) -> tuple[SeriesRule, ...]:
    """Return the rules for a fleet's series, or for its devices as a whole; the fleet of probe has none.

    An outage of ingest silences probe. Alarms report that already, and an incident would report it twice.
    """
    if fleet_id == PROBE_FLEET:
        return ()
    return tuple(
        SeriesRule(
            fleet_id=fleet_id,
            rule_id=_name(each.kind, metric),
            version=1,
            metric=metric,
            kind=each.kind,
            open=each.open,
            clear=each.clear,
            breaches=each.breaches,
            of=each.of,
            severity=each.severity,
        )
        for each in (_OF_SERIES if metric else _OF_DEVICES)
    )


def list_defaults(fleet_id: str, metrics: Iterable[str]) -> Iterator[SeriesRule]:
    """List all rules that a fleet has by default: for its devices as a whole, and for each series."""
    for metric in (SILENCE_METRIC, *metrics):
        yield from default_rules_for(fleet_id, metric)


def _name(kind: RuleKind, metric: str) -> str:
    """Name a default apart from those of the device's other series: incidents are told apart by device and rule."""
    return f"{DEFAULT}{kind}-{metric.replace('_', '-')}" if metric else f"{DEFAULT}{kind}"
