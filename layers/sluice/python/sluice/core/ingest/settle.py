"""From verdicts to what is stored and what is said: every verdict is one record, and every record's fate one status."""

import msgspec

from sluice.core.api.answers import ACCEPTED, RETRY, Result, reject
from sluice.core.api.requests import Request
from sluice.core.failures.letters import write_letter
from sluice.core.ingest.judge import Accepted, Rejected, Verdict
from sluice.core.messages import Message


class Letterhead(msgspec.Struct, frozen=True):
    """Where the letters of rejects go, and what stands on each of them beforehand."""

    topic: str
    fleet_id: str
    contract: str
    max_letter: int


def address(verdict: Verdict, request: Request, letterhead: Letterhead) -> Message:
    """Make the one record a verdict is stored as: the event itself, or its dead letter."""
    if isinstance(verdict, Accepted):
        return verdict.message
    letter = write_letter(
        reason=verdict.rejection.code,
        detail=verdict.rejection.message,
        body=verdict.event,
        max_body=letterhead.max_letter,
        consumer="ingest",
        failed_at=request.received_at,
        fleet_id=letterhead.fleet_id,
        contract=letterhead.contract,
        correlation_id=request.correlation_id,
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
