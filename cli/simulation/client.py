"""A black-box client with a ledger of its own: what it sent, when, and what it was told of each event.

It shares no code with the pipeline: it speaks HTTP and believes nothing but answers. What must therefore be stored, and
nowhere else, is for tests.support.invariants to find.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from cli.simulation.devices import Sent

TRIES, PAUSE_SECONDS = 240, 0.5

ACCEPTED, REJECTED = "accepted", "rejected"
REFUSED = "refused"  # the request as a whole, for good: nothing of it was let in
TURNED_AWAY = "turned away"  # the request as a whole, for now: nothing of it was let in, and it may come again
UNKNOWN = "unknown"  # no answer says whether it was stored: each such attempt may have stored the event once
SETTLED = (ACCEPTED, REJECTED, REFUSED)

# Bodies that are no events at all, which are kept whole as one dead letter.
NO_EVENTS = ("malformed_json", "invalid_utf8")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One event in one request, and what was said of it."""

    event_id: str | None
    sha256: str
    number: int
    """The first time these bytes were sent is 1."""
    answer: str
    at: datetime


@dataclass
class Ledger:
    """Every attempt, and how often each answer was given to the same bytes."""

    attempts: list[Attempt] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    rejected: set[str] = field(default_factory=set)
    no_events: set[str] = field(default_factory=set)
    """Whole bodies that were said to be no events."""
    statuses: Counter[int] = field(default_factory=Counter)
    ids: dict[str, str | None] = field(default_factory=dict)
    """What the events that these bytes are call themselves."""

    def write(self, batch: Sequence[Sent], status: int, document: Any) -> list[Sent]:
        """Write down an answer, event by event (status 0: none came); return what is not settled by it."""
        self.statuses[status] += 1
        document = document if isinstance(document, dict) else {}
        results, code = document.get("results"), document.get("code")
        if status == 400 and not results and code in NO_EVENTS:
            self.no_events.add(digest(compose(batch)))
        unsettled = []
        for index, sent in enumerate(batch):
            answer = _read_status(results[index]["status"]) if results else _read_refusal(status, code)
            self.note(sent.body, answer)
            if answer not in SETTLED:
                unsettled.append(sent)
        return unsettled

    def note(self, body: bytes, answer: str, times: int = 1) -> None:
        """Write down what was said of one event."""
        sha256 = digest(body)
        if sha256 not in self.ids:
            self.ids[sha256] = _read_id(body)
        for _ in range(times):
            number = 1 + self._tries[sha256]
            self._tries[sha256] = number
            self.attempts.append(Attempt(self.ids[sha256], sha256, number, answer, datetime.now(UTC)))
        if answer == ACCEPTED:
            self.accepted[sha256] += times
        elif answer == UNKNOWN:
            self.unknown[sha256] += times
        elif answer == REJECTED:
            self.rejected.add(sha256)

    _tries: Counter[str] = field(default_factory=Counter, repr=False)

    def name(self, sha256: str) -> str:
        """Name an event for a person: by its id where it has one, and by its content."""
        return f"{self.ids.get(sha256) or 'event'} ({sha256[:16]})"


def _read_status(status: str) -> str:
    return status if status in (ACCEPTED, REJECTED) else UNKNOWN


def _read_refusal(status: int, code: str | None) -> str:
    if status == 429:
        # Only where storing was tried is anything unknown; the gateway's own 429 has no code and says nothing.
        return UNKNOWN if code in (None, "not_stored") else TURNED_AWAY
    return REFUSED if 400 <= status < 500 else UNKNOWN


def _read_id(body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    name = document.get("event_id") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None


def digest(body: bytes) -> str:
    """Name bytes by their content."""
    return hashlib.sha256(body).hexdigest()


def compose(batch: Sequence[Sent]) -> bytes:
    """Write the body of a request."""
    return batch[0].body if len(batch) == 1 else b"[" + b", ".join(sent.body for sent in batch) + b"]"


async def post_all(
    api: str, key: str, batches: Iterable[Sequence[Sent]], at_once: int = 4, until_settled: bool = False
) -> Ledger:
    """Post batches side by side and write down every answer.

    Until settled, what is unknown or to be retried is sent again as a good client does: after a pause, a bounded
    number of times. What was unknown once may be stored more often than it was accepted, and the ledger says so.
    """
    ledger = Ledger()
    waiting = iter(batches)

    async def post(session: aiohttp.ClientSession) -> None:
        for batch in waiting:
            left = list(batch)
            for _ in range(TRIES if until_settled else 1):
                left = await _post_once(session, api, key, left, ledger)
                if not left:
                    break
                await asyncio.sleep(PAUSE_SECONDS)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        await asyncio.gather(*(post(session) for _ in range(at_once)))
    return ledger


async def _post_once(
    session: aiohttp.ClientSession, api: str, key: str, batch: list[Sent], ledger: Ledger
) -> list[Sent]:
    """Post one batch and write down its answer; return what is not settled by it."""
    headers = {"x-api-key": key, "content-type": "application/json"}
    try:
        async with session.post(api + batch[0].route, data=compose(batch), headers=headers) as answer:
            return ledger.write(batch, answer.status, json.loads(await answer.read()))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return ledger.write(batch, 0, None)
