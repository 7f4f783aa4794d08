"""Which events a fix would make one: the consumers count one event of a device and an id, and drop the others."""

from collections.abc import Iterable

from sluice.core.events.identity import same_id
from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Accepted, Rejected

Verdicts = Iterable[tuple[Letter, Accepted | Rejected]]


def merges_events(verdicts: Verdicts) -> bool:
    """Return whether two letters of different bytes pass as one event, and did not name one event before.

    Letters of one fleet are compared. A device that sent other bytes under its own id again merged its events itself.
    """
    named: dict[tuple[bytes | None, str | bytes], tuple[str | None, str | None]] = {}
    bodies: dict[tuple[bytes | None, str | bytes], str | None] = {}
    for letter, verdict in verdicts:
        if isinstance(verdict, Rejected):
            continue
        event = verdict.message.key, _find_id(verdict)
        before = letter.device_id, letter.event_id and same_id(letter.event_id)
        first = named.setdefault(event, before)
        if bodies.setdefault(event, letter.event) != letter.event and (None in before or first != before):
            return True
    return False


def _find_id(verdict: Accepted) -> str | bytes:
    # An event without an id gets one that is derived from its bytes.
    return same_id(verdict.event_id) if verdict.event_id else verdict.message.value
