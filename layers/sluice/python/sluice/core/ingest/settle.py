"""From verdicts to records and answers: one record per verdict, one status per event."""

from datetime import datetime

import msgspec

from sluice.core.api.answers import ACCEPTED, RETRY, Result, reject
from sluice.core.failures.letters import write_letter
from sluice.core.ingest.judge import Accepted, Rejected, Verdict
from sluice.core.messages import Message


class Letterhead(msgspec.Struct, frozen=True):
    """The topic of a request's dead letters, and what all of them share."""

    topic: str
    fleet_id: str
    contract: str
    correlation_id: str
    received_at: datetime
    max_letter: int


def address(verdict: Verdict, letterhead: Letterhead) -> Message:
    """Make the record for a verdict: the event itself, or its dead letter."""
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
    """Give an event its status; it never promises more than the delivery report on its record."""
    event_id = verdict.event_id if isinstance(verdict, Accepted) else verdict.claims.event_id
    if unstored is not None:
        return Result(index, event_id, RETRY, {"code": "not_stored", "message": unstored})
    if isinstance(verdict, Rejected):
        return reject(index, event_id, verdict.rejection)
    return Result(index, event_id, ACCEPTED)
