"""The audit: each entry carries the hash of the one before it, so that an altered entry breaks the chain.

An entry is canonical JSON (RFC 8785), hashed as it is stored: whoever verifies needs no parser that agrees with ours.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import rfc8785

from sluice.core.times import write_time

BEFORE_THE_FIRST = "0" * 64
"""Stands where the first entry carries a hash."""


class Entry(msgspec.Struct, frozen=True):
    """One entry as it is stored."""

    number: int
    text: bytes
    hash: str


class Act(msgspec.Struct, frozen=True):
    """One change: by whom, of what, and why."""

    at: datetime
    principal: str
    action: str
    target: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    correlation_id: str
    reason: str | None = None


def write_entry(act: Act, last: Entry | None) -> Entry:
    """Write the entry of a change after the last one."""
    number = last.number + 1 if last else 1
    text = rfc8785.dumps(
        {
            "number": number,
            "previous": last.hash if last else BEFORE_THE_FIRST,
            "at": write_time(act.at),
            "principal": act.principal,
            "action": act.action,
            "target": act.target,
            "changes": differ(act.before, act.after),
            "reason": act.reason,
            "correlation_id": act.correlation_id,
        }
    )
    return Entry(number, text, hash_text(text))


def differ(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """List what a change changes: each field with its value before and after."""
    old = before or {}
    return {
        name: {"before": old.get(name), "after": after.get(name)}
        for name in sorted({*old, *after})
        if old.get(name) != after.get(name)
    }


def hash_text(text: bytes) -> str:
    """Hash an entry."""
    return hashlib.sha256(text).hexdigest()
