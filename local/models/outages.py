"""A model of CloudWatch's alarms over other alarms: their rules, and when one pages although another may be its cause.

Modelled: rules of ALARM, AND, OR and parentheses; a suppressor with its two periods. An outage that begins waits for
its suppressor, and pages if that does not come on in time. One that was suppressed pages if it is still on some time
after its suppressor went off. Not modelled: NOT, OK, and what AWS does with one that ends while it waits: here it pages
no one.
"""

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from math import inf
from typing import NamedTuple

from local.models.config import OutageConfig


class Change(NamedTuple):
    """An alarm that went on or off."""

    at: float
    alarm: str
    on: bool


class UnknownRuleError(Exception):
    """A rule uses what is not modelled."""


Rule = Callable[[Collection[str]], bool]


def compile_rule(text: str) -> tuple[Rule, set[str]]:
    """Compile a rule to a function of the alarms that are on, and say which alarms it names."""
    names: set[str] = set()
    try:
        # With the words in lower case, what our rules say has the same grammar as a Python expression.
        tree = ast.parse(text.replace(" AND ", " and ").replace(" OR ", " or "), mode="eval").body
        return _compile(tree, names), names
    except (SyntaxError, UnknownRuleError) as error:
        raise UnknownRuleError(f"{text!r} is not modelled: {error}") from error


def _compile(node: ast.expr, names: set[str]) -> Rule:
    match node:
        case ast.Call(func=ast.Name(id="ALARM"), args=[ast.Constant(value=str() as name)], keywords=[]):
            names.add(name)
            return lambda on: name in on
        case ast.BoolOp(op=sign, values=parts):
            rules = [_compile(part, names) for part in parts]
            combine = all if isinstance(sign, ast.And) else any
            return lambda on: combine(rule(on) for rule in rules)
    raise UnknownRuleError(ast.unparse(node))


class Outages:
    """The alarms over other alarms, in any order: one may be a part of another."""

    def __init__(self, configs: Iterable[OutageConfig], minute_seconds: float) -> None:
        self._configs = list(configs)
        self._rules = {each.name: compile_rule(each.rule)[0] for each in self._configs}
        self._minute = minute_seconds

    def changes(self, changes: Sequence[Change]) -> list[Change]:
        """Return what went on or off because of the alarms that did, in order."""
        on: set[str] = set()
        found: list[Change] = []
        for at, together in groupby(sorted(changes), key=lambda change: change.at):
            for change in together:
                (on.add if change.on else on.discard)(change.alarm)
            before = on & set(self._rules)
            # As often as one may be a part of another.
            for _ in self._rules:
                for name, rule in self._rules.items():
                    (on.add if rule(on) else on.discard)(name)
            after = on & set(self._rules)
            found += [Change(at, name, name in after) for name in sorted(before ^ after)]
        return found

    def pages(self, changes: Sequence[Change], now: float) -> list[Change]:
        """Return when someone was paged until a moment, in order."""
        own = self.changes(changes)
        lasted = {each.name: list(_intervals(each.name, own)) for each in self._configs}
        found = [
            Change(at, each.name, on=True)
            for each in self._configs
            if each.pages
            for begin, end in lasted[each.name]
            if (at := self._page_at(each, begin, lasted.get(each.suppressor or "", []))) < end and at <= now
        ]
        return sorted(found)

    def _page_at(self, config: OutageConfig, begin: float, cause: Iterable[tuple[float, float]]) -> float:
        """Return when an outage pages that begins at a moment, if it lasts."""
        since, patience = begin, self._scaled(config.wait_seconds)
        for start, stop in cause:
            if stop > since and start <= since + patience:
                since, patience = stop, self._scaled(config.extension_seconds)
        return since + patience

    def _scaled(self, seconds: float) -> float:
        return seconds / 60 * self._minute


def _intervals(name: str, changes: Iterable[Change]) -> Iterator[tuple[float, float]]:
    """Return from when until when an alarm was on; one that still is has no end."""
    begin: float | None = None
    for change in changes:
        if change.alarm == name and change.on:
            begin = change.at
        elif change.alarm == name and begin is not None:
            yield begin, change.at
            begin = None
    if begin is not None:
        yield begin, inf
