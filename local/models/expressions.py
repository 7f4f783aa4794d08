"""Metric math, as far as our alarms use it: arithmetic, comparisons, FILL, IF and MAX over the values of one period.

A missing value makes a result that needs it missing, and so does a division by zero. FILL fills it, also where a metric
has no value in any period, and MAX leaves it out.
"""

import ast
import operator
from collections.abc import Callable, Container, Mapping
from typing import Any

Value = float | None

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {ast.Lt: operator.lt, ast.Gt: operator.gt}


class UnknownExpressionError(Exception):
    """An expression uses what is not modelled, or names a metric that it does not have."""


class Expression:
    """One expression over metrics by their names."""

    def __init__(self, text: str, names: Container[str]) -> None:
        try:
            # What our alarms say has the same grammar as a Python expression.
            self._compute = _compile(ast.parse(text, mode="eval").body, names)
        except (SyntaxError, UnknownExpressionError) as error:
            raise UnknownExpressionError(f"{text!r} is not modelled: {error}") from error

    def compute(self, values: Mapping[str, Value]) -> Value:
        """Compute it for one period."""
        return self._compute(values)


_Compute = Callable[[Mapping[str, Value]], Value]


def _compile(node: ast.expr, names: Container[str]) -> _Compute:
    def below(each: ast.expr) -> _Compute:
        return _compile(each, names)

    match node:
        case ast.Constant(value=int() | float() as constant):
            return lambda _values: float(constant)
        case ast.Name(id=name) if name in names:
            return lambda values: values[name]
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _both(below(left), below(right), _BINARY[type(sign)])
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _COMPARISONS:
            return _both(below(left), below(right), _COMPARISONS[type(sign)])
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, filling], keywords=[]):
            return _fill(below(filled), below(filling))
        case ast.Call(func=ast.Name(id="IF"), args=[condition, yes, no], keywords=[]):
            return _choose(below(condition), below(yes), below(no))
        case ast.Call(func=ast.Name(id="MAX"), args=[ast.List(elts=parts)], keywords=[]):
            return _largest([below(each) for each in parts])
    raise UnknownExpressionError(ast.unparse(node))


def _both(left: _Compute, right: _Compute, combine: Callable[[float, float], Any]) -> _Compute:
    def compute(values: Mapping[str, Value]) -> Value:
        one, other = left(values), right(values)
        try:
            return None if one is None or other is None else float(combine(one, other))
        except ZeroDivisionError:
            return None

    return compute


def _fill(filled: _Compute, filling: _Compute) -> _Compute:
    def compute(values: Mapping[str, Value]) -> Value:
        found = filled(values)
        return filling(values) if found is None else found

    return compute


def _choose(condition: _Compute, yes: _Compute, no: _Compute) -> _Compute:
    def compute(values: Mapping[str, Value]) -> Value:
        holds = condition(values)
        return None if holds is None else yes(values) if holds else no(values)

    return compute


def _largest(parts: list[_Compute]) -> _Compute:
    def compute(values: Mapping[str, Value]) -> Value:
        return max((found for part in parts if (found := part(values)) is not None), default=None)

    return compute
