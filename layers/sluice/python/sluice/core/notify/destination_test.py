"""Test messages: an admin asks that one destination is notified now, and is told what came of it.

They go the way of every message, and nothing remembers them: no incident, no queue, no second attempt.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.destinations import Destination
from sluice.core.notify.outcomes import Result
from sluice.core.times import write_time

RULE = "test"
NO_FLEET = "test"
"""The fleet of a test message to a destination of every fleet."""


class DestinationTestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What admin asks notify."""

    destination_id: str
    version: int
    """The version that admin has stored: notify may still know an older one."""
    stage: str
    correlation_id: str


class DestinationTestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What notify answers."""

    outcome: Literal["delivered", "failed", "refused"]
    detail: str
    status: int | None = None
    """The HTTP status, if there was an answer."""
    seconds: float = 0.0


def write_messages(asked: DestinationTestRequest, destination: Destination, now: datetime) -> tuple[AlertMessage, ...]:
    """Write the messages of a test: one for people, and another that closes what a machine opened because of it."""
    opened = AlertMessage(
        incident_id=hashlib.sha256(f"test {destination.destination_id} {write_time(now)}".encode()).hexdigest()[:24],
        sequence=1,
        happening="opened",
        stage=asked.stage,
        fleet_id=destination.fleet_id or NO_FLEET,
        rule_id=RULE,
        kind="above",
        metric="",
        unit="",
        severity=destination.least_severity,
        devices=1,
        examples=(),
        value=None,
        threshold=0.0,
        why=f"An admin tested the destination {destination.destination_id}. There is no incident.",
        opened_at=now,
        at=now,
        read_at=now,
        correlation_id=asked.correlation_id,
        test=True,
    )
    if destination.kind == "slack":
        return (opened,)
    return opened, msgspec.structs.replace(opened, sequence=2, happening="resolved", resolved_at=now)


def judge_test(results: Sequence[Result], messages: tuple[AlertMessage, ...], seconds: float) -> DestinationTestResult:
    """Say what came of a test, from the results of its messages up to the first that was not delivered."""
    last = results[-1]
    detail = last.detail
    if len(results) > 1:
        closed = "and resolved again" if last.outcome == "delivered" else "and NOT resolved: resolve it there by hand"
        detail = f"{detail}; an incident {messages[0].incident_id} was opened there {closed}"
    return DestinationTestResult(outcome=last.outcome, detail=detail, status=last.status, seconds=round(seconds, 3))
