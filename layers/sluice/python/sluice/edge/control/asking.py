"""Asking a function of ours for an admin: its answer, or its refusal as if it were ours."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.core.errors import Refusal
from sluice.edge.correlation import current_id
from sluice.edge.invoked import InvokedFunction


class _Refused(msgspec.Struct, frozen=True):
    status: int
    code: str
    detail: str


class _Answered(msgspec.Struct, frozen=True):
    """The answer of a function that may refuse."""

    result: dict[str, Any] = {}
    refused: _Refused | None = None


def ask_function(function: InvokedFunction, question: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a function, and raise what it refuses."""
    answered = function.ask({**question, "correlation_id": current_id()}, _Answered)
    if answered.refused is not None:
        refused = answered.refused
        raise Refusal(refused.status, refused.code, refused.detail)
    return answered.result
