"""What a case of the corpus is, and how one is made.

Every event of the corpus carries an id made of its case's name: no two cases share bytes by accident. What one case
must not store is distinct from what another case may store.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.api.keys import PublishedKey, compose_key, hash_key
from tests.support import samples

EVENTS, READINGS, ACTIVITY = "/v1/events", "/v1/readings", "/v1/activity"
ACCEPTED = "accepted"

VERSIONS = (("telemetry", 1), ("telemetry", 2), ("telemetry", 3), ("reading", 1), ("reading", 2), ("activity", 1))
ROUTE_OF = {"telemetry": EVENTS, "reading": READINGS, "activity": ACTIVITY}

_IDS = uuid.UUID("5c1ce000-0000-4000-8000-00000c0295e5")


@dataclass(frozen=True)
class Event:
    """One event of a case: its bytes and its outcome, accepted or a rejection code."""

    body: bytes
    outcome: str


@dataclass(frozen=True)
class Refused:
    """The answer to a request whose events have no status of their own."""

    status: int
    code: str
    letter: bytes | None = None
    """What the one dead letter holds, if there is one."""


@dataclass(frozen=True)
class Keys:
    """A key for every way in which a key is accepted or refused."""

    device: str
    reader: str
    expired: str
    revoked: str
    abroad: str
    """Of a fleet whose home is another region."""
    stage: str


NAMES = ("device", "reader", "expired", "revoked", "abroad")
Headers = Mapping[str, str]


def present_device_key(keys: Keys) -> Headers:
    """Present the key as a device does."""
    return {"x-api-key": keys.device}


@dataclass(frozen=True)
class Case:
    """One request, and the answer that is documented for it."""

    name: str
    body: bytes
    expected: Refused | tuple[Event, ...]
    route: str = EVENTS
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    key: Callable[[Keys], Headers] = present_device_key
    over_http: bool = True
    """False where no HTTP client or gateway lets the request through as it is."""
    family: str = ""

    @property
    def status(self) -> int:
        """The documented status of the whole."""
        if isinstance(self.expected, Refused):
            return self.expected.status
        accepted = sum(event.outcome == ACCEPTED for event in self.expected)
        if accepted == len(self.expected):
            return 202
        return 207 if accepted else 400

    @property
    def outcome(self) -> str | list[str]:
        """The documented code of the whole, or the outcome of each event in order."""
        return self.expected.code if isinstance(self.expected, Refused) else [event.outcome for event in self.expected]

    @property
    def accepted(self) -> list[bytes]:
        """The events that must be stored, byte for byte."""
        return [] if isinstance(self.expected, Refused) else self._with(accepted=True)

    @property
    def letters(self) -> list[bytes]:
        """What the dead letters must hold."""
        if isinstance(self.expected, Refused):
            return [] if self.expected.letter is None else [self.expected.letter]
        return self._with(accepted=False)

    def _with(self, accepted: bool) -> list[bytes]:
        assert isinstance(self.expected, tuple)
        return [event.body for event in self.expected if (event.outcome == ACCEPTED) is accepted]


def one(name: str, event: bytes, outcome: str, **how: Any) -> Case:
    """A request with one event."""
    return Case(name, event, (Event(event, outcome),), **how)


def batch(name: str, events: Sequence[Event], **how: Any) -> Case:
    """A request with an array of events."""
    return Case(name, b"[" + b", ".join(event.body for event in events) + b"]", tuple(events), **how)


def refused(name: str, body: bytes, status: int, code: str, **how: Any) -> Case:
    """A request that is refused whole and stores nothing."""
    return Case(name, body, Refused(status, code), **how)


def unparsable(name: str, body: bytes, code: str, **how: Any) -> Case:
    """A request whose body is no events and becomes one dead letter."""
    return Case(name, body, Refused(400, code, letter=body), **how)


def read_outcome(answer: Mapping[str, Any]) -> str | list[str]:
    """Read from an answer what a case documents as its outcome."""
    if "results" not in answer:
        return str(answer.get("code", answer))  # the gateway's own answers have none
    results = sorted(answer["results"], key=lambda result: int(result["index"]))
    return [result["error"]["code"] if "error" in result else result["status"] for result in results]


def identify(name: str) -> str:
    """Make the id of a case's event."""
    return str(uuid.uuid5(_IDS, name))


def good(contract: str, version: int, name: str) -> dict[str, Any]:
    """A document that keeps a contract and that no other case uses."""
    document: dict[str, Any] = samples.read(f"{contract}-v{version}.json")
    return document | {"event_id": identify(name)}


def telemetry(name: str, **changes: Any) -> dict[str, Any]:
    """A good telemetry event, changed."""
    return good("telemetry", 1, name) | changes


def write(document: object) -> bytes:
    """A document as a device would send it, with its characters as they are."""
    return json.dumps(document, ensure_ascii=False).encode()


def good_event(name: str) -> Event:
    """A telemetry event that is accepted."""
    return Event(write(telemetry(name)), ACCEPTED)


def paste(name: str, text: bytes, contract: str = "telemetry", version: int = 1) -> bytes:
    """A good event with given JSON text as the value of a field that the contract does not name."""
    return write(good(contract, version, name))[:-1] + b', "pasted": ' + text + b"}"


def among_good(name: str, event: bytes, outcome: str) -> Case:
    """A batch with one event between two good ones, which it must not harm."""
    events = [good_event(f"{name}, before"), Event(event, outcome), good_event(f"{name}, after")]
    return batch(name, events)


def spoiling(name: str, event: bytes) -> Case:
    """A batch in which bytes that are no JSON make the events inseparable."""
    before, after = good_event(f"{name}, before"), good_event(f"{name}, after")
    return unparsable(name, b"[" + b", ".join((before.body, event, after.body)) + b"]", "malformed_json")


def stored_keys(keys: Keys, fleet_id: str, past: datetime) -> Iterator[PublishedKey]:
    """What the control data holds of the keys, all but the reader's and the spent ones open."""
    differ: dict[str, dict[str, Any]] = {
        "expired": {"expires_at": past},
        "revoked": {"revoked_at": past},
        "abroad": {"fleet_id": f"{fleet_id}-abroad", "home_region": "mars-north-1"},
    }
    for name in NAMES:
        text: str = getattr(keys, name)
        role = "reader" if name == "reader" else "device"
        stored = PublishedKey(text.split("_")[2], fleet_id, role, hash_key(text), 1e6, 1e6)
        yield msgspec.structs.replace(stored, **differ.get(name, {}))


def make_keys(stage: str) -> Keys:
    """Keys that are the same in every run; they open nothing but a test's own fleet."""
    made = {name: compose_key(stage, name.ljust(16, "0"), f"corpus{name}".ljust(43, "x")) for name in NAMES}
    return Keys(**made, stage=stage)
