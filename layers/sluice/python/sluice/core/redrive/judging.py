"""A dead letter judged again: by the same judge as at the edge, as of the time when its event was received.

fix its bytes -> judge them as ingest does -> mark the record as redriven, with the hash of what the device sent
"""

import hashlib
from datetime import datetime

import msgspec

from sluice.core.api.requests import Request
from sluice.core.events.envelope import HEADER, REDRIVEN, read_envelope, write_envelope
from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Accepted, Rejected, Rules, judge
from sluice.core.messages import Message
from sluice.core.redrive.fixes import Fix, fix_event

ROUTE = "redrive"


def rejudge(letter: Letter, fix: Fix, rules: Rules, home: str | None) -> Accepted | Rejected:
    """Judge a whole letter of ingest after a fix. Its fleet's home is that of now: residency has no past."""
    sent = (letter.event or "").encode()
    received_at = datetime.fromisoformat(letter.received_at or letter.failed_at)
    request = Request(ROUTE, None, received_at, letter.correlation_id or "")
    fixed = fix_event(sent, fix, rules.contracts.book)
    verdict = judge(fixed, letter.contract or "", letter.fleet_id or "", request, rules, home)
    if isinstance(verdict, Rejected):
        return verdict
    return Accepted(verdict.event_id, _mark(verdict.message, sent))


def _mark(message: Message, sent: bytes) -> Message:
    envelope = read_envelope(dict(message.headers)[HEADER])
    marked = msgspec.structs.replace(
        envelope, flags=(*envelope.flags, REDRIVEN), original_sha256=hashlib.sha256(sent).hexdigest()
    )
    return msgspec.structs.replace(message, headers=((HEADER, write_envelope(marked)),))
