"""From an event to its verdict, its Kafka record and its status: one record per verdict, one status per event."""

import re

import msgspec

from sluice.core.api.answers import ACCEPTED, RETRY, Result, reject
from sluice.core.api.requests import Request
from sluice.core.errors import Rejection
from sluice.core.events.contracts import READING, Contracts
from sluice.core.events.envelope import HEADER, VERSION, Envelope, write_envelope
from sluice.core.events.parse import parse_event
from sluice.core.failures.letters import MAX_BODY, UnverifiedFields, read_unverified_fields, short_text, write_letter
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.times import time_flags

# A region as a member names it: a text, or whatever stands in its place.
_REGION = re.compile(rb'"region"\s*:\s*("[^"]*"?|[^,}]*)')


class Accepted(msgspec.Struct, frozen=True):
    """An event that follows its contract, as it will be stored."""

    event_id: str
    message: Message


class Rejected(msgspec.Struct, frozen=True):
    """An event that breaks its contract, the reason, and what it says about itself."""

    event: bytes
    rejection: Rejection
    unverified: UnverifiedFields
    must_not_stay: bool = False
    """Whether the event's data belongs to another region: then its dead letter says everything but the event."""


Verdict = Accepted | Rejected


class Rules(msgspec.Struct, frozen=True):
    """The rules by which events are judged, and the topics of accepted ones."""

    contracts: Contracts
    limits: Limits
    topic: str


class Letterhead(msgspec.Struct, frozen=True):
    """The topic of a request's dead letters, and what all of them share."""

    topic: str
    fleet_id: str
    contract: str
    request: Request


def judge(
    slice_: bytes, contract: str, fleet_id: str, request: Request, rules: Rules, home: str | None = None
) -> Verdict:
    """Judge one event by its contract, and by its fleet's home region if it has one."""
    document: object = None
    try:
        document = parse_event(slice_, rules.limits)
        if home is not None and (region := _read_region(contract, document)) not in (None, home):
            rejection = Rejection("wrong_region", f"The reading names {region!r}, and its fleet's home is {home}.")
            return Rejected(slice_, rejection, read_unverified_fields(document), must_not_stay=True)
        facts = rules.contracts.judge(contract, fleet_id, slice_, document)
    except Rejection as raised:
        # A copy: the raised exception's traceback would keep the document in memory until the request ends.
        rejection = Rejection(raised.code, raised.message, raised.violations)
        stays = not names_another_region(contract, slice_, home)
        return Rejected(slice_, rejection, read_unverified_fields(document), must_not_stay=not stays)
    limits = rules.limits
    envelope = Envelope(
        version=VERSION,
        received_at=request.received_at,
        fleet_id=fleet_id,
        contract=contract,
        schema_version=facts.schema_version,
        flags=time_flags(facts.event_time, request.received_at, limits.clock_ahead, limits.late),
        correlation_id=request.correlation_id,
    )
    return Accepted(
        # As it was sent, so that the sender recognizes it; our id may differ in case.
        document["event_id"] if isinstance(document, dict) and "event_id" in document else facts.event_id,
        Message(rules.topic, facts.device_id.encode(), slice_, ((HEADER, write_envelope(envelope)),)),
    )


def names_another_region(contract: str, body: bytes, home: str | None) -> bool:
    """Return whether bytes that are no valid reading name a region that is not the fleet's home."""
    if contract != READING or home is None:
        return False
    return any(named.strip() != b'"%s"' % home.encode() for named in _REGION.findall(body))


def _read_region(contract: str, document: object) -> str | None:
    """Return the region that a reading names; other contracts name none."""
    return short_text(document.get("region")) if contract == READING and isinstance(document, dict) else None


def address(verdict: Verdict, letterhead: Letterhead) -> Message:
    """Make the record for a verdict: the event itself, or its dead letter."""
    if isinstance(verdict, Accepted):
        return verdict.message
    letter = write_letter(
        reason=verdict.rejection.code,
        detail=verdict.rejection.message,
        body=verdict.event,
        consumer="ingest",
        failed_at=letterhead.request.received_at,
        max_body=0 if verdict.must_not_stay else MAX_BODY,
        fleet_id=letterhead.fleet_id,
        contract=letterhead.contract,
        correlation_id=letterhead.request.correlation_id,
        **msgspec.structs.asdict(verdict.unverified),
        **_name_first(verdict.rejection),
    )
    return Message(letterhead.topic, letter.letter_id.encode(), msgspec.json.encode(letter))


def _name_first(rejection: Rejection) -> dict[str, str | None]:
    """Name the first violation: dead letters of one bug have the same one."""
    if not rejection.violations:
        return {}
    first = rejection.violations[0]
    return {"path": short_text(first.path), "rule": first.rule}


def settle(index: int, verdict: Verdict, unstored: str | None) -> Result:
    """Give an event its status; it never promises more than the delivery report on its record."""
    event_id = verdict.event_id if isinstance(verdict, Accepted) else verdict.unverified.event_id
    if unstored is not None:
        return Result(index, event_id, RETRY, {"code": "not_stored", "message": unstored})
    if isinstance(verdict, Rejected):
        return reject(index, event_id, verdict.rejection)
    return Result(index, event_id, ACCEPTED)
