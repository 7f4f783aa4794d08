"""Rules, arranged so that those of a reading are found at once, however many a fleet has."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sluice.core.detect.series_rules import RuleKind, SeriesRule

ByKind = dict[RuleKind, SeriesRule]

UNKNOWN_TYPE = ""
"""Of a device whose type is not known: no rule can name it, so no rule for a type is for the device."""


class Rulebook:
    """The rules of all fleets."""

    def __init__(self, rules: Iterable[SeriesRule]) -> None:
        series: defaultdict[tuple[str, str], list[SeriesRule]] = defaultdict(list)
        for rule in rules:
            series[rule.fleet_id, rule.metric].append(rule)
        self._series = {name: _SeriesRules(listed) for name, listed in series.items()}
        self.typed_fleets = frozenset(
            rule.fleet_id for listed in series.values() for rule in listed if rule.device_type is not None
        )
        """The fleets with a rule for a device type."""

    def rules_for(self, fleet_id: str, device_type: str | None, device_id: str, metric: str) -> Sequence[SeriesRule]:
        """Return the rules of a device's series: of each kind that of the device, else of its type, else of its fleet.

        Without a type of its own (None), a device has that of its fleet. A device of UNKNOWN_TYPE may have another one:
        no type's rule counts. The metric of a silence is "".
        """
        found = self._series.get((fleet_id, metric))
        return () if found is None else found.rules_for(device_type, device_id)


class _SeriesRules:
    """The rules of one series of a fleet. A device without a type of its own costs one look-up more."""

    def __init__(self, rules: Sequence[SeriesRule]) -> None:
        of_all: ByKind = {}
        of_types: defaultdict[str, ByKind] = defaultdict(dict)
        of_devices: defaultdict[str, ByKind] = defaultdict(dict)
        for rule in rules:
            if rule.device_id is not None:
                of_devices[rule.device_id][rule.kind] = rule
            elif rule.device_type is not None:
                of_types[rule.device_type][rule.kind] = rule
            else:
                of_all[rule.kind] = rule
        self._of_all = of_all
        self._of_types: Mapping[str, ByKind] = {name: of_all | found for name, found in of_types.items()}
        self._of_devices: Mapping[str, ByKind] = dict(of_devices)
        # A device without a type of its own has that of its fleet.
        usual = self._of_types.get(rules[0].fleet_type or "", of_all)
        self._usual = tuple(usual.values())
        self._usual_of_devices = {name: tuple((usual | own).values()) for name, own in of_devices.items()}

    def rules_for(self, device_type: str | None, device_id: str) -> Sequence[SeriesRule]:
        """Return the rules of a device."""
        if device_type is None:
            return self._usual_of_devices.get(device_id, self._usual)
        of_type = self._of_types.get(device_type, self._of_all)
        own = self._of_devices.get(device_id)
        return tuple((of_type if own is None else of_type | own).values())
