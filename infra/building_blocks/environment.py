"""A function's environment, written from the structs with which the function reads it."""

from collections.abc import Mapping, Sequence

from aws_cdk import Token
from msgspec.structs import fields

from sluice.edge.settings import Settings

Fact = str | int | float

SET_BY_LAMBDA = {"aws_region"}
"""Lambda sets these itself, and refuses a function that sets them."""


class SettingError(ValueError):
    """A field has no value, or a value has no field."""


def environment_of(
    verb: str, reads: Sequence[type[Settings]], *, settings: Sequence[object], facts: Sequence[Mapping[str, Fact]]
) -> dict[str, str]:
    """Write every field of the structs: with the fact of its name, or the attribute of its name in the settings.

    A struct may put the function's name before a field (`roll_shards`), where roll's settings do not (`shards`).
    A struct reads every fact. Settings may hold more than structs read, because templates use them too.
    """
    environment: dict[str, str] = {}
    for struct in reads:
        for field in fields(struct):
            found = _values_of(verb, field.name, settings, facts)
            if len(found) > 1:
                raise SettingError(f"{verb}: {struct.__name__}.{field.name} is given {len(found)} different values")
            if found:
                environment[field.name.upper()] = str(found.pop())
            elif field.required and field.name not in SET_BY_LAMBDA:
                raise SettingError(f"{verb}: nothing gives {struct.__name__}.{field.name} a value")
        struct.from_environ(_at_deployment(environment))
    if unread := {name for given in facts for name in given if name.upper() not in environment}:
        raise SettingError(f"{verb}: no struct reads {', '.join(sorted(unread))}")
    return environment


def _values_of(verb: str, name: str, settings: Sequence[object], facts: Sequence[Mapping[str, Fact]]) -> set[Fact]:
    if told := {given[name] for given in facts if name in given}:
        return told
    names = {name, name.removeprefix(f"{verb}_")}
    return {getattr(one, each) for one in settings for each in names if hasattr(one, each)}


def _at_deployment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that a struct can check: values known only at deployment may be any text or number."""
    known = {name: "1" if Token.is_unresolved(value) else value for name, value in environment.items()}
    return known | {name.upper(): "1" for name in SET_BY_LAMBDA}
