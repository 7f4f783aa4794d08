"""From verdicts to records and answers: every verdict is stored as one record, and every event gets one status."""

from datetime import datetime

import msgspec

from sluice.core.api.answers import ACCEPTED, RETRY, Result, reject
from sluice.core.failures.letters import write_letter
from sluice.core.ingest.judge import Accepted, Rejected, Verdict
from sluice.core.messages import Message


class Letterhead(msgspec.Struct, frozen=True):
    """Where the dead letters of a request go, and what all of them say."""

    topic: str
    fleet_id: str
    contract: str
    correlation_id: str
    received_at: datetime
    max_letter: int


def address(verdict: Verdict, letterhead: Letterhead) -> Message:
    """Make the one record that a verdict is stored as: the event itself, or its dead letter."""
    if isinstance(verdict, Accepted):
        return verdict.message
    letter = write_letter(
        reason=verdict.rejection.code,
        detail=verdict.rejection.message,
        body=verdict.event,
        max_body=letterhead.max_letter,
        consumer="ingest",
        failed_at=letterhead.received_at,
        fleet_id=letterhead.fleet_id,
        contract=letterhead.contract,
        correlation_id=letterhead.correlation_id,
        **msgspec.structs.asdict(verdict.claims),
    )
    return Message(letterhead.topic, letter.letter_id.encode(), msgspec.json.encode(letter))


def settle(index: int, verdict: Verdict, unstored: str | None) -> Result:
    """Give an event its status: never a stronger one than the report on its record allows."""
    event_id = verdict.event_id if isinstance(verdict, Accepted) else verdict.claims.event_id
    if unstored is not None:
        return Result(index, event_id, RETRY, {"code": "not_stored", "message": unstored})
    if isinstance(verdict, Rejected):
        return reject(index, event_id, verdict.rejection)
    return Result(index, event_id, ACCEPTED)
