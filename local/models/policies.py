"""What policies allow: an explicit Deny wins, then an Allow; whatever no statement names is denied.

Modelled: statements of actions and resources with the wildcards * and ?, which span slashes. Actions are compared
without regard to case, resources with it.

Not modelled: conditions, the Not elements, policy variables, boundaries, resource policies. Who reads the templates
refuses them. Believed: a wildcard also spans the colons of an ARN.
"""

import re
from collections.abc import Iterable

from local.models.config import StatementConfig


def allows(statements: Iterable[StatementConfig], action: str, resource: str) -> bool:
    """Return whether the statements together allow an action on a resource."""
    effects = {each.effect for each in statements if _speaks_of(each, action, resource)}
    return "Allow" in effects and "Deny" not in effects


def covers_action(pattern: str, action: str) -> bool:
    """Return whether a statement's action stands for this one."""
    return _covers(pattern.lower(), action.lower())


def _speaks_of(statement: StatementConfig, action: str, resource: str) -> bool:
    return any(covers_action(each, action) for each in statement.actions) and any(
        _covers(each, resource) for each in statement.resources
    )


def _covers(pattern: str, text: str) -> bool:
    wildcards = {"*": ".*", "?": "."}
    parts = (wildcards.get(each) or re.escape(each) for each in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
