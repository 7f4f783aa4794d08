"""What policies allow: an explicit Deny wins, then an Allow; whatever no statement names is denied.

Modelled: statements of actions and resources with the wildcards * and ?, which span slashes; the conditions
StringEquals and StringLike, which a key that the request does not have never meets. Actions are compared without regard
to case, resources with it.

Not modelled: other conditions, the Not elements, policy variables, boundaries, resource policies. Who reads the
templates refuses them. Believed: a wildcard also spans the colons of an ARN.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from local.models.config import StatementConfig

#: The conditions that are modelled.
CONDITIONS = ("StringEquals", "StringLike")

_NOTHING: Mapping[str, str] = {}


def allows(
    statements: Iterable[StatementConfig], action: str, resource: str, context: Mapping[str, str] = _NOTHING
) -> bool:
    """Return whether the statements together allow an action on a resource; the context is what conditions look at."""
    effects = {each.effect for each in statements if _speaks_of(each, action, resource, context)}
    return "Allow" in effects and "Deny" not in effects


def deciding(
    statements: Iterable[StatementConfig], action: str, resource: str, context: Mapping[str, str] = _NOTHING
) -> Iterator[tuple[str, str]]:
    """Yield the grants that allow an action on a resource, as the statements write them."""
    for each in statements:
        if each.effect == "Allow" and _speaks_of(each, action, resource, context):
            actions = (one for one in each.actions if covers_action(one, action))
            yield next(actions), next(one for one in each.resources if _covers(one, resource))


def covers_action(pattern: str, action: str) -> bool:
    """Return whether a statement's action stands for this one."""
    return _covers(pattern.lower(), action.lower())


def _speaks_of(statement: StatementConfig, action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        any(covers_action(each, action) for each in statement.actions)
        and any(_covers(each, resource) for each in statement.resources)
        and all(_met(operator, wanted, context) for operator, wanted in statement.conditions.items())
    )


def _met(operator: str, wanted: Mapping[str, list[str]], context: Mapping[str, str]) -> bool:
    same = _covers if operator == "StringLike" else str.__eq__
    return all(name in context and any(same(each, context[name]) for each in of) for name, of in wanted.items())


def _covers(pattern: str, text: str) -> bool:
    wildcards = {"*": ".*", "?": "."}
    parts = (wildcards.get(each) or re.escape(each) for each in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
