"""The verdict on one event: the Kafka record it becomes, or why it is rejected."""

import msgspec

from sluice.core.api.requests import Request
from sluice.core.errors import Rejection
from sluice.core.events.contracts import Contracts
from sluice.core.events.envelope import HEADER, VERSION, Envelope, write_envelope
from sluice.core.events.parse import parse_event
from sluice.core.failures.letters import Claims, read_claims
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.times import time_flags


class Accepted(msgspec.Struct, frozen=True):
    """An event that follows its contract, as it will be stored."""

    event_id: str
    message: Message


class Rejected(msgspec.Struct, frozen=True):
    """An event that breaks its contract, the reason, and what it says about itself."""

    event: bytes
    rejection: Rejection
    claims: Claims


Verdict = Accepted | Rejected


class Rules(msgspec.Struct, frozen=True):
    """The rules by which events are judged, and the topics of accepted ones."""

    contracts: Contracts
    limits: Limits
    topic: str


def judge(slice_: bytes, contract: str, fleet_id: str, request: Request, rules: Rules) -> Verdict:
    """Judge one event by its contract."""
    document: object = None
    try:
        document = parse_event(slice_, rules.limits)
        facts = rules.contracts.judge(contract, fleet_id, slice_, document)
    except Rejection as raised:
        # A copy: the raised exception's traceback would keep the document in memory until the request ends.
        return Rejected(slice_, Rejection(raised.code, raised.message, raised.violations), read_claims(document))
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
