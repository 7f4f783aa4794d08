"""One event's JSON, read strictly. JSON that is ambiguous or too expensive to read is rejected.

msgspec reads the JSON. It accepts what JSON allows and we do not: a duplicate member (the last would silently win),
NUL, names and numbers without bound, deep nesting. Each has its own code.
"""

import json
from collections import Counter
from typing import Any, NoReturn

import msgspec

from sluice.core.errors import Rejection
from sluice.core.limits import Limits

_SPACES = b" \t\r\n"

_decode = msgspec.json.Decoder().decode


def parse_event(slice_: bytes, limits: Limits) -> object:
    """Read one event's bytes, already known to be UTF-8."""
    if len(slice_) > limits.max_event:
        raise Rejection(
            "event_too_large", f"The event has {len(slice_)} bytes; {limits.max_event} is the most that is taken."
        )
    try:
        document = _decode(slice_)
    except RecursionError as error:
        raise _too_deep(limits) from error
    except msgspec.ValidationError as error:
        raise Rejection("number_out_of_range", "A number is too large to be read exactly.") from error
    except msgspec.DecodeError as error:
        raise _name_fault(slice_, error) from error
    if type(document) is dict:
        members = _inspect(document, limits, nul=b"\\u0000" in slice_)
        if b"\\" in slice_ or _count_members(slice_) != members:
            _check_names(slice_, limits)
    return document


def _inspect(document: dict[str, Any], limits: Limits, nul: bool) -> int:
    """Check every name, number and, where NUL may be, text; return the number of members."""
    members = 0
    pending: list[tuple[Any, int]] = [(document, 1)]
    while pending:
        container, depth = pending.pop()
        if depth > limits.max_depth:
            raise _too_deep(limits)
        if type(container) is dict:
            members += len(container)
            for name in container:
                if len(name) > limits.max_name:
                    raise Rejection(
                        "name_too_long",
                        f"The name {name[:32]!r}… has {len(name)} characters; {limits.max_name} is the most.",
                    )
                if nul:
                    _check_text(name)
            values = container.values()
        else:
            values = container
        for value in values:
            kind = type(value)
            if kind is float or kind is int:
                if not -limits.max_number <= value <= limits.max_number:
                    raise Rejection("number_out_of_range", f"A number lies beyond ±{limits.max_number:g}.")
            elif kind is dict or kind is list:
                pending.append((value, depth + 1))
            elif nul and kind is str:
                _check_text(value)
    return members


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise Rejection("invalid_text", "A text contains NUL, which no store of ours keeps.")


def _count_members(slice_: bytes) -> int:
    """Count the members of JSON without escapes, including those that were overwritten while reading; never too few.

    After a name come its quote and a colon. The quote before a text that begins with a colon counts too, so the result
    may be too high.
    """
    return slice_.translate(None, _SPACES).count(b'":')


def _check_names(slice_: bytes, limits: Limits) -> None:
    """Reject an object that names a member twice: slow and exact."""
    try:
        json.loads(slice_.decode(), object_pairs_hook=_refuse_duplicates)
    except RecursionError as error:
        # The overwritten member may have been deeper than everything that was inspected.
        raise _too_deep(limits) from error


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Rejection("duplicate_key", f"The name {twice[:64]!r} occurs twice in one object.")
    return read


def _name_fault(slice_: bytes, error: msgspec.DecodeError) -> Rejection:
    """Distinguish a text or number that we cannot store from bytes that are not JSON."""
    try:
        json.loads(slice_.decode(), parse_constant=_refuse_constant)
    except Rejection as rejection:
        return rejection
    except (ValueError, RecursionError):
        return Rejection("malformed_json", f"The event cannot be read as JSON: {error}.")
    # Python's reader accepts half of a surrogate pair as a character; no UTF-8 writer does.
    return Rejection("invalid_text", "A text contains half of a surrogate pair, which is not a character.")


def _refuse_constant(name: str) -> NoReturn:
    raise Rejection("number_out_of_range", f"{name} is not a number in JSON.")


def _too_deep(limits: Limits) -> Rejection:
    return Rejection("too_deep", f"The event is nested deeper than {limits.max_depth} levels.")
