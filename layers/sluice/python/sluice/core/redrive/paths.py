"""Places in a JSON document, named as violations name them: members of objects, joined by dots."""

from collections.abc import Mapping
from typing import Any


def find_place(document: object, path: str) -> tuple[dict[str, Any], str] | None:
    """Return the object and the name of the member that a path names, whether or not the member is there.

    A device may use dots in a name. A member with all of the path that is left as its name goes first.
    """
    container = document
    while isinstance(container, dict):
        if path in container or "." not in path:
            return container, path
        head, _, path = path.partition(".")
        container = container.get(head)
    return None


def find_value(document: object, path: str) -> tuple[bool, object]:
    """Return whether a document has a member at a path, and its value."""
    place = find_place(document, path)
    if place is None or place[1] not in place[0]:
        return False, None
    return True, place[0][place[1]]


def find_rule(schema: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any], bool]:
    """Return the schema of a place, and whether its object requires it; an empty one where anything may be."""
    rule, required = schema, True
    while path:
        head, _, rest = path.partition(".")
        properties = rule.get("properties", {})
        name = path if path in properties or head not in properties else head
        required = name in rule.get("required", ())
        further = properties.get(name, rule.get("additionalProperties"))
        rule = further if isinstance(further, Mapping) else {}
        path = "" if name == path else rest
    return rule, required
