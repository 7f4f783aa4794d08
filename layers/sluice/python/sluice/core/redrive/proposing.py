"""Proposing a fix for a group: candidates from what its letters break, kept if the judge then passes more of them.

judge some letters -> list candidates -> keep the one that helps most -> again, until all pass or none helps
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import islice
from typing import Any

import msgspec

from sluice.core.errors import Refusal, Violation
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
from sluice.core.redrive.identity import merges_events
from sluice.core.redrive.judging import rejudge
from sluice.core.redrive.paths import find_place, find_rule, find_value

MOST_SAMPLES = 200
"""How many letters of a group a proposal is tried on."""
MOST_CANDIDATES = 16
"""How many verbs are tried in a round, those first that most letters suggest."""
MOST_ROUNDS = 5
MOST_SUGGESTING = 20
"""How many letters candidates are taken from in a round."""
MOST_COMPARED = 50
"""How many members of an object are compared with a missing one."""
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
    complete: bool = True
    """False if the time was over before every candidate was tried."""

    @property
    def share(self) -> float:
        """Return the share that would pass."""
        return self.passed / self.tried if self.tried else 0.0


class _Outcome(msgspec.Struct, frozen=True):
    passed: int
    violations: int
    rejected: list[tuple[Letter, Rejected]]
    merges: bool
    """Whether events of their own would become one."""

    @property
    def rank(self) -> tuple[int, int]:
        return self.passed, -self.violations


def propose(
    letters: Sequence[Letter], rules: Rules, home: str | None, may_go_on: Callable[[], bool] = lambda: True
) -> Proposal:
    """Propose the fix under which most of some letters pass; it may be empty.

    A fix that makes one event of two is not proposed, however many letters it makes pass.
    """
    samples = [letter for letter in letters if is_whole(letter)][:MOST_SAMPLES]
    fix: Fix = ()
    reached = before = _try(samples, fix, rules, home)
    complete = True
    for _ in range(MOST_ROUNDS):
        complete = may_go_on()
        if not reached.rejected or not complete:
            break
        tried: list[tuple[Verb, _Outcome]] = []
        for verb in _list_candidates(reached, fix, rules):
            if not (complete := may_go_on()):
                break
            outcome = _try(samples, (*fix, verb), rules, home)
            if not outcome.merges:
                tried.append((verb, outcome))
        best = max(tried, key=lambda one: (one[1].rank, -_COST[type(one[0])]), default=None)
        if best is None or best[1].rank <= reached.rank:
            break
        fix, reached = (*fix, best[0]), best[1]
    # Verbs that only led somewhere, and made no letter pass, are not proposed.
    if reached.passed == before.passed:
        fix, reached = (), before
    return Proposal(fix, len(samples), reached.passed, before.passed, complete or not reached.rejected)


def measure(letters: Sequence[Letter], fix: Fix, rules: Rules, home: str | None) -> Proposal:
    """Try a fix on letters, as it is, and refuse one that makes one event of two."""
    samples = [letter for letter in letters if is_whole(letter)]
    before = _try(samples, (), rules, home)
    after = _try(samples, fix, rules, home) if fix else before
    if fix and after.merges:
        detail = "With this fix, events of their own would have one event_id and device: one of them alone would count."
        raise Refusal(400, "identity_fixed", detail)
    return Proposal(fix, len(samples), after.passed, before.passed)


def _try(samples: Sequence[Letter], fix: Fix, rules: Rules, home: str | None) -> _Outcome:
    verdicts = [(letter, rejudge(letter, fix, rules, home)) for letter in samples]
    rejected = [(letter, verdict) for letter, verdict in verdicts if isinstance(verdict, Rejected)]
    broken = sum(max(1, len(verdict.rejection.violations)) for _, verdict in rejected)
    return _Outcome(len(samples) - len(rejected), broken, rejected, merges_events(verdicts))


def _list_candidates(reached: _Outcome, fix: Fix, rules: Rules) -> list[Verb]:
    """List what rejected letters suggest: verbs that most of them suggest first."""
    found: Counter[Verb] = Counter()
    documents: list[dict[str, Any]] = []
    for letter, verdict in reached.rejected[:MOST_SUGGESTING]:
        document = read_document((letter.event or "").encode())
        if not isinstance(document, dict):
            continue
        apply_fix(document, fix, rules.contracts.book)
        documents.append(document)
        found.update({*_suggest(document, letter.contract or "", verdict, rules)})
    ranked = sorted(found.items(), key=lambda one: (-one[1], _COST[type(one[0])], repr(one[0])))
    return [verb for verb, _ in ranked if _may_identify(verb, documents)][:MOST_CANDIDATES]


def _may_identify(verb: Verb, documents: Sequence[dict[str, Any]]) -> bool:
    """Return whether a member may be taken for an id: it has the id's own name, or tells the letters apart."""
    if not isinstance(verb, Rename) or verb.to not in IDENTITY or _spell(verb.path) == _spell(verb.to):
        return True
    values = {msgspec.json.encode(value) for found, value in (find_value(one, verb.path) for one in documents) if found}
    return len(values) > 1


def _spell(name: str) -> str:
    """Write a name without its case and its marks: deviceId and device-id are device_id."""
    return "".join(filter(str.isalnum, name)).casefold()


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
    undeclared = [*islice((one for one in container if one not in declared), MOST_COMPARED)]
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
