"""Proposing a fix for a group: candidates from what its letters break, kept if the judge then passes more of them.

judge some letters -> list candidates -> keep the one that helps most -> again, until all pass or none helps
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import msgspec

from sluice.core.errors import Violation
from sluice.core.events.units import SeriesBook
from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Rejected, Rules
from sluice.core.redrive.fixes import (
    IDENTITY,
    Cast,
    Convert,
    Drop,
    Fix,
    Rename,
    Set,
    Verb,
    apply_fix,
    cast,
    convert,
    read_document,
)
from sluice.core.redrive.groups import is_whole
from sluice.core.redrive.judging import rejudge
from sluice.core.redrive.paths import find_place, find_rule, find_value

MOST_SAMPLES = 200
"""How many letters of a group a proposal is tried on."""
MOST_CANDIDATES = 16
"""How many verbs are tried in a round, those first that most letters suggest."""
MOST_ROUNDS = 5
ALIKE = 0.5
"""How alike two names must be so that one is taken for the other, unless nothing else can be meant."""

# A verb that keeps what the device sent goes before one that replaces or loses it.
_COST: Mapping[type, int] = {Rename: 0, Cast: 1, Convert: 2, Set: 3, Drop: 4}


class Proposal(msgspec.Struct, frozen=True):
    """A fix, and how many of the letters that it was tried on it makes pass."""

    fix: Fix
    tried: int
    passed: int
    passed_before: int
    """How many pass without a fix."""

    @property
    def share(self) -> float:
        """Return the share that would pass."""
        return self.passed / self.tried if self.tried else 0.0


class _Outcome(msgspec.Struct, frozen=True):
    passed: int
    violations: int
    rejected: list[tuple[Letter, Rejected]]

    @property
    def rank(self) -> tuple[int, int]:
        return self.passed, -self.violations


def propose(letters: Sequence[Letter], rules: Rules, home: str | None) -> Proposal:
    """Propose the fix under which most of some letters pass; it may be empty."""
    samples = [letter for letter in letters if is_whole(letter)][:MOST_SAMPLES]
    fix: Fix = ()
    reached = before = _try(samples, fix, rules, home)
    for _ in range(MOST_ROUNDS):
        if not reached.rejected:
            break
        tried = [(verb, _try(samples, (*fix, verb), rules, home)) for verb in _list_candidates(reached, fix, rules)]
        best = max(tried, key=lambda one: (one[1].rank, -_COST[type(one[0])]), default=None)
        if best is None or best[1].rank <= reached.rank:
            break
        fix, reached = (*fix, best[0]), best[1]
    # Verbs that only led somewhere, and made no letter pass, are not proposed.
    if reached.passed == before.passed:
        fix, reached = (), before
    return Proposal(fix, len(samples), reached.passed, before.passed)


def measure(letters: Sequence[Letter], fix: Fix, rules: Rules, home: str | None) -> Proposal:
    """Try a fix on letters, as it is."""
    samples = [letter for letter in letters if is_whole(letter)]
    before = _try(samples, (), rules, home).passed
    return Proposal(fix, len(samples), _try(samples, fix, rules, home).passed if fix else before, before)


def _try(samples: Sequence[Letter], fix: Fix, rules: Rules, home: str | None) -> _Outcome:
    verdicts = [(letter, rejudge(letter, fix, rules, home)) for letter in samples]
    rejected = [(letter, verdict) for letter, verdict in verdicts if isinstance(verdict, Rejected)]
    broken = sum(max(1, len(verdict.rejection.violations)) for _, verdict in rejected)
    return _Outcome(len(samples) - len(rejected), broken, rejected)


def _list_candidates(reached: _Outcome, fix: Fix, rules: Rules) -> list[Verb]:
    """List what the rejected letters suggest: verbs that most of them suggest first."""
    found: Counter[Verb] = Counter()
    for letter, verdict in reached.rejected:
        document = read_document((letter.event or "").encode())
        if not isinstance(document, dict):
            continue
        apply_fix(document, fix, rules.contracts.book)
        found.update({*_suggest(document, letter.contract or "", verdict, rules)})
    return [verb for verb, _ in sorted(found.items(), key=lambda one: (-one[1], _COST[type(one[0])], repr(one[0])))][
        :MOST_CANDIDATES
    ]


def _suggest(document: dict[str, Any], contract: str, verdict: Rejected, rules: Rules) -> Iterator[Verb]:
    schema = rules.contracts.schema_for(contract, document)
    if schema is None:
        return
    book, code = rules.contracts.book, verdict.rejection.code
    if code == "unknown_firmware" and "device_firmware_version" not in document:
        yield from _name_missing(document, schema, "device_firmware_version")
    elif code == "unknown_schema_version":
        yield Cast("schema_version", "integer")
    elif code == "unit_mismatch":
        yield from _name_unit(document, book)
    for violation in verdict.rejection.violations:
        yield from _mend(document, schema, violation, book)


def _mend(
    document: dict[str, Any], schema: Mapping[str, Any], violation: Violation, book: SeriesBook
) -> Iterator[Verb]:
    path, (rule, required) = violation.path, find_rule(schema, violation.path)
    _, value = find_value(document, path)
    match violation.rule:
        case "required":
            yield from _name_missing(document, schema, path)
            if "const" in rule:
                yield Set(path, rule["const"])
        case "type":
            kind = rule.get("type")
            if kind in ("number", "integer", "string", "boolean") and cast(value, kind) is not value:
                yield Cast(path, kind)
        case "minimum" | "maximum":
            yield from _convert_into(document, path, value, rule, book)
        case "const":
            yield Set(path, rule["const"])
        case "enum":
            yield from (
                Set(path, one)
                for one in rule["enum"]
                if isinstance(value, str) and isinstance(one, str) and one.casefold() == value.strip().casefold()
            )
        case "propertyNames":
            yield from _mend_names(document, path)
    if path and not required and path not in IDENTITY and violation.rule != "required":
        yield Drop(path)


def _name_missing(document: dict[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[Verb]:
    """Suggest members that may be a missing one under another name: those beside it that no version declares."""
    place = find_place(document, path)
    if place is None:
        return
    container, name = place
    prefix = path[: len(path) - len(name)]
    declared = find_rule(schema, prefix.rstrip("."))[0].get("properties", {})
    undeclared = [one for one in container if one not in declared]
    likeness = {one: SequenceMatcher(None, one.casefold(), name.casefold()).ratio() for one in undeclared}
    alike = [one for one in undeclared if likeness[one] >= ALIKE]
    # Only likeness proves an id: any other text, taken for one, might be the same in every event.
    only = undeclared if len(undeclared) == 1 and path not in IDENTITY else []
    for one in alike or only:
        yield Rename(f"{prefix}{one}", path)
    if prefix:
        # A member that was to be inside an object may stand beside it.
        outside = schema.get("properties", {})
        yield from (Rename(one, path) for one in document if one == name and one not in outside)


def _convert_into(
    document: dict[str, Any], path: str, value: object, rule: Mapping[str, Any], book: SeriesBook
) -> Iterator[Verb]:
    """Suggest conversions after which a number lies within its bounds."""
    wanted = book.units.get(rule.get("x-unit") or str(document.get("unit")))
    if wanted is None:
        return
    names = {id(unit): name for name, unit in book.units.items()}
    for name, unit in book.units.items():
        if unit is wanted or unit.quantity != wanted.quantity:
            continue
        converted = convert(value, unit, wanted)
        if isinstance(converted, float) and rule.get("minimum", -1e308) <= converted <= rule.get("maximum", 1e308):
            yield Convert(path, name, names[id(wanted)])


def _name_unit(document: dict[str, Any], book: SeriesBook) -> Iterator[Verb]:
    """Suggest the known unit that a sent one is short for, such as degC for C."""
    series, sent = book.series.get(str(document.get("sensor_type"))), document.get("unit")
    if series is None or not isinstance(sent, str) or not sent.strip():
        return
    quantity, said = book.units[series.unit].quantity, sent.strip().casefold()
    for name, unit in book.units.items():
        if unit.quantity == quantity and name.casefold().endswith(said):
            yield Set("unit", name)


def _mend_names(document: dict[str, Any], path: str) -> Iterator[Verb]:
    found, container = find_value(document, path)
    if not found or not isinstance(container, dict):
        return
    for name in container:
        stripped = name.strip()
        if stripped and stripped != name and stripped not in container:
            yield Rename(f"{path}.{name}", f"{path}.{stripped}")
        elif not name.isprintable() or not stripped:
            yield Drop(f"{path}.{name}")
