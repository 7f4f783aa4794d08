"""Rules as admins write them: what is refused, and why."""

import math
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from sluice.core.detect.defaults import DEFAULT
from sluice.core.detect.device_types import DeviceType
from sluice.core.detect.series_rules import MOST_OF, RuleId, RuleKind, SeriesRule, Severity
from sluice.core.errors import Refusal, Rejection
from sluice.core.events.names import is_name
from sluice.core.events.units import SeriesBook
from sluice.core.times import write_optional, write_time

MOST_OF_FLEET, MOST_RULES = 1_000, 10_000
"""Each process that judges readings has the rules of all fleets in memory."""
MOST_DEVICE_CHARACTERS = 128
# What a conversion adds to a value of few digits is noise.
_DIGITS = 10

Unit = Literal["deviations", "share", "intervals"]
_MEASURES: dict[RuleKind, Unit] = {
    "zscore": "deviations",
    "baseline": "deviations",
    "level": "deviations",
    "range": "share",
    "stuck": "share",
    "silence": "intervals",
}
"""What `open` counts; a threshold, which is not listed, is in the unit of its series."""
_BETWEEN: dict[RuleKind, tuple[float, float]] = {
    "zscore": (0, 1_000),
    "baseline": (0, 1_000),
    "level": (0, 1_000),
    "range": (0, 1_000),
    "stuck": (0, 1),
    "silence": (1, 10_000),
}
"""`open` is more than the first of these, and at most the second."""
_CLEAR_ABOVE: tuple[RuleKind, ...] = ("below", "stuck")
"""Kinds whose breaches are low values: a clear one is not lower than `open`."""


class NewRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin sends to create a rule."""

    rule_id: str
    kind: RuleKind
    open: float
    metric: str = ""
    unit: str | None = None
    """Of `open` and `clear`; without it, that of the series."""
    device_type: str | None = None
    device_id: str | None = None
    clear: float | None = None
    breaches: int = 1
    of: int = 1
    severity: Severity = "warning"


class RuleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin sends to change a rule; what is left out stays. Its kind, series and devices never change."""

    open: float | UnsetType = UNSET
    clear: float | UnsetType = UNSET
    unit: str | None = None
    breaches: int | UnsetType = UNSET
    of: int | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it is stored."""

    fleet_id: str
    rule_id: str
    kind: RuleKind
    metric: str
    unit: str | None
    """Of a threshold: that of its series."""
    device_type: str | None
    device_id: str | None
    open: float
    clear: float
    breaches: int
    of: int
    severity: Severity
    created_at: datetime
    archived_at: datetime | None = None
    version: int = 1

    @property
    def state(self) -> Literal["active", "archived"]:
        """Whether it judges."""
        return "active" if self.archived_at is None else "archived"

    @property
    def judging_version(self) -> int:
        """The version that judges, or judged last: archiving counts as a change, and promises nothing new."""
        return self.version if self.archived_at is None else self.version - 1

    def for_judging(self) -> SeriesRule:
        """Write it as those who judge read it."""
        return SeriesRule(
            fleet_id=self.fleet_id,
            rule_id=self.rule_id,
            version=self.version,
            metric=self.metric,
            device_type=self.device_type,
            device_id=self.device_id,
            kind=self.kind,
            open=self.open,
            clear=self.clear,
            breaches=self.breaches,
            of=self.of,
            severity=self.severity,
        )

    def described(self) -> dict[str, Any]:
        """Write it as answers and the audit show it."""
        return {
            "rule_id": self.rule_id,
            "fleet_id": self.fleet_id,
            "state": self.state,
            "kind": self.kind,
            "metric": self.metric,
            "device_type": self.device_type,
            "device_id": self.device_id,
            "open": self.open,
            "clear": self.clear,
            "unit": self.unit or _MEASURES[self.kind],
            "breaches": self.breaches,
            "of": self.of,
            "severity": self.severity,
            "created_at": write_time(self.created_at),
            "archived_at": write_optional(self.archived_at),
            "version": self.version,
        }


def create_rule(fleet_id: str, wanted: NewRule, book: SeriesBook, now: datetime) -> Rule:
    """Make a rule, or refuse it with the reason."""
    _check_form("rule_id", wanted.rule_id, RuleId, "1 to 63 lower-case letters, digits and dashes")
    if wanted.rule_id.startswith(DEFAULT):
        raise _invalid(f"Ids that begin with {DEFAULT} belong to the rules for series without one: choose another.")
    _check_devices(wanted)
    _check_metric(wanted.kind, wanted.metric, book)
    opens = _in_own_unit("open", wanted.open, wanted.unit, wanted.kind, wanted.metric, book)
    clears = (
        opens
        if wanted.clear is None
        else _in_own_unit("clear", wanted.clear, wanted.unit, wanted.kind, wanted.metric, book)
    )
    rule = Rule(
        fleet_id=fleet_id,
        rule_id=wanted.rule_id,
        kind=wanted.kind,
        metric=wanted.metric,
        unit=None if wanted.kind in _MEASURES else book.series[wanted.metric].unit,
        device_type=wanted.device_type,
        device_id=wanted.device_id,
        open=opens,
        clear=clears,
        breaches=wanted.breaches,
        of=wanted.of,
        severity=wanted.severity,
        created_at=now,
    )
    _check_values(rule)
    return rule


def change_rule(rule: Rule, change: RuleChange, book: SeriesBook) -> Rule:
    """Change a rule; a change that changes nothing leaves the version."""
    _check_active(rule)
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    unit = given.pop("unit")
    if unit is not None and not given.keys() & {"open", "clear"}:
        raise _invalid("unit is that of open and clear: send one of them with it.")
    for name in given.keys() & {"open", "clear"}:
        given[name] = _in_own_unit(name, given[name], unit, rule.kind, rule.metric, book)
    changed = replace(rule, **given)
    _check_values(changed)
    return rule if changed == rule else replace(changed, version=rule.version + 1)


def archive_rule(rule: Rule, now: datetime) -> Rule:
    """Archive a rule: it judges nothing more, and its id is not used again."""
    _check_active(rule)
    return replace(rule, version=rule.version + 1, archived_at=now)


def check_room(of_fleet: int, of_all: int) -> None:
    """Refuse a rule if there are so many already."""
    if of_fleet >= MOST_OF_FLEET:
        raise Refusal(409, "too_many_rules", f"The fleet has {MOST_OF_FLEET:,} rules already: archive some.")
    if of_all >= MOST_RULES:
        raise Refusal(409, "too_many_rules", f"All fleets together have {MOST_RULES:,} rules already: archive some.")


def refuse_twin(wanted: Rule, twin: str) -> Refusal:
    """Say that another rule has the same kind, series and devices: only one of them can count."""
    devices = wanted.device_id or wanted.device_type or "all devices"
    series = wanted.metric or "the device as a whole"
    return Refusal(
        409,
        "rule_twice",
        f"Rule {twin} is of kind {wanted.kind} for {series} and {devices} already: change that one, or archive it.",
    )


def _check_active(rule: Rule) -> None:
    if rule.archived_at is not None:
        raise Refusal(409, "rule_archived", f"Rule {rule.rule_id} is archived: it does not change any more.")


def _check_metric(kind: RuleKind, metric: str, book: SeriesBook) -> None:
    if kind == "silence":
        if metric:
            raise _invalid("A rule of kind silence has no metric: a device is silent as a whole.")
    elif metric not in book.series:
        known = ", ".join(sorted(book.series))
        missing = f"{metric[:64]!r} is not a declared series" if metric else f"A rule of kind {kind} needs a metric"
        raise Refusal(400, "unknown_metric", f"{missing}; declared are {known}.")


def _check_devices(wanted: NewRule) -> None:
    if wanted.device_type is not None and wanted.device_id is not None:
        raise _invalid("A rule is for one device or for a device type: send device_id or device_type, and not both.")
    if wanted.device_type is not None:
        form = "1 to 63 lower-case letters, digits, dashes and underscores"
        _check_form("device_type", wanted.device_type, DeviceType, form)
    if wanted.device_id is not None and not is_name(wanted.device_id, MOST_DEVICE_CHARACTERS):
        raise _invalid(
            f"device_id is 1 to {MOST_DEVICE_CHARACTERS} printable characters, without a space at either end."
        )


def _check_form(name: str, given: str, form: Any, says: str) -> None:
    try:
        msgspec.convert(given, form)
    except msgspec.ValidationError:
        raise _invalid(f"{name} is {says}, and begins with a letter or a digit.") from None


def _in_own_unit(name: str, value: float, unit: str | None, kind: RuleKind, metric: str, book: SeriesBook) -> float:
    """Convert a threshold to the unit of its series. All other numbers have a fixed measure."""
    measure = _MEASURES.get(kind)
    if measure is not None:
        if unit not in (None, measure):
            raise Refusal(
                400, "unit_mismatch", f"{name} of a rule of kind {kind} counts {measure}: leave out the unit."
            )
        converted = value
    else:
        try:
            converted = value if unit is None else book.in_series_unit(metric, value, unit)
        except Rejection as rejection:
            raise Refusal(400, "unit_mismatch", f"{rejection.message}.") from rejection
    if not math.isfinite(converted):
        raise _invalid(f"{name} must be a finite number.")
    return converted if converted == value else float(f"{converted:.{_DIGITS}g}")


def _check_values(rule: Rule) -> None:
    if rule.kind in _BETWEEN:
        least, most = _BETWEEN[rule.kind]
        if not least < rule.open <= most:
            measure = _MEASURES[rule.kind]
            raise _invalid(
                f"open of a rule of kind {rule.kind} is more than {least:g} and at most {most:,g} {measure},"
                f" and not {rule.open:g}."
            )
        if not 0 <= rule.clear <= most:
            raise _invalid(f"clear is from 0 to {most:,g}, and not {rule.clear:g}.")
    low = rule.kind in _CLEAR_ABOVE
    if rule.clear < rule.open if low else rule.clear > rule.open:
        side = "less" if low else "more"
        raise _invalid(
            f"clear ({rule.clear:g}) must not be {side} than open ({rule.open:g}): of a rule of kind {rule.kind}"
            " a reading would be a breach and clear at once."
        )
    if not 1 <= rule.of <= MOST_OF:
        raise _invalid(f"of is from 1 to {MOST_OF} readings, and not {rule.of}.")
    if not 1 <= rule.breaches <= rule.of:
        raise _invalid(f"breaches is from 1 to of, which is {rule.of}, and not {rule.breaches}.")


def _invalid(detail: str) -> Refusal:
    return Refusal(400, "invalid_rule", detail)
