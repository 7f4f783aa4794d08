"""Why a dead letter failed, and what would pass: the rule, the value, and the contract's own words."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.core.errors import Violation
from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Rejected, Rules
from sluice.core.ledger.groups import INGEST
from sluice.core.redrive.fixes import read_document
from sluice.core.redrive.groups import is_whole, key_of
from sluice.core.redrive.judging import rejudge
from sluice.core.redrive.paths import find_rule, find_value

MOST_SHOWN = 200
"""Characters of a value."""


class Breach(msgspec.Struct, frozen=True):
    """One rule that an event breaks."""

    path: str | None
    rule: str
    message: str
    value: str | None
    """The value as JSON, cut; None if there is none."""
    passes: str
    """What would pass."""


def explain(letter: Letter, rules: Rules, home: str | None) -> dict[str, Any]:
    """Explain a letter by the contracts of now: a later release may accept what an earlier one rejected."""
    told: dict[str, Any] = {
        "letter_id": letter.letter_id,
        "group_id": key_of(letter).group_id,
        "fleet_id": letter.fleet_id,
        "consumer": letter.consumer,
        "reason": letter.reason,
        "detail": letter.detail,
        "failed_at": letter.failed_at,
        "redrivable": is_whole(letter),
        "passes_now": False,
        "breaches": [],
    }
    if letter.consumer != INGEST or not told["redrivable"]:
        return told
    verdict = rejudge(letter, (), rules, home)
    if not isinstance(verdict, Rejected):
        return told | {"passes_now": True}
    document = read_document((letter.event or "").encode())
    breaches = list_breaches(verdict, document, letter.contract or "", rules)
    return told | {"breaches": [msgspec.structs.asdict(one) for one in breaches]}


def list_breaches(verdict: Rejected, document: object, contract: str, rules: Rules) -> list[Breach]:
    """List what a rejected event breaks; a rejection without violations is one breach of the event as a whole."""
    rejection = verdict.rejection
    schema = rules.contracts.schema_for(contract, document if isinstance(document, dict) else {}) or {}
    if not rejection.violations:
        return [Breach(None, rejection.code, rejection.message, None, rejection.message)]
    return [_describe(one, document, schema) for one in rejection.violations]


def _describe(violation: Violation, document: object, schema: Mapping[str, Any]) -> Breach:
    found, value = find_value(document, violation.path)
    rule, required = find_rule(schema, violation.path)
    shown = msgspec.json.encode(value).decode(errors="replace")[:MOST_SHOWN] if found and violation.path else None
    return Breach(violation.path or None, violation.rule, violation.message, shown, say_rule(rule, required=required))


def say_rule(rule: Mapping[str, Any], *, required: bool) -> str:
    """Say in words what a place of a schema accepts."""
    kind = rule.get("type", "anything")
    said = f"{'an' if kind[0] in 'aeio' else 'a'} {kind}" if kind != "anything" else kind
    if "const" in rule:
        said = f"exactly {msgspec.json.encode(rule['const']).decode()}"
    elif "enum" in rule:
        said = f"one of {', '.join(msgspec.json.encode(one).decode() for one in rule['enum'])}"
    elif "x-says" in rule:
        said = str(rule["x-says"])
    elif "minimum" in rule or "maximum" in rule:
        bounds = [f"{word} {rule[name]:g}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in rule]
        said = f"{said} {' '.join(bounds)}"
    if rule.get("required"):
        said = f"{said} with {', '.join(rule['required'])}"
    unit = f" in {rule['x-unit']}" if "x-unit" in rule else ""
    return f"{said}{unit}" if required else f"{said}{unit}, or nothing"
