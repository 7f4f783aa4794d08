"""Groups of dead letters: those that failed alike are most likely the same bug of the same release of a device."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.consumers import ACCOUNTED as CONSUMERS
from sluice.core.consumers import AGGREGATE
from sluice.core.failures.letters import Letter
from sluice.core.ledger.groups import INGEST
from sluice.core.records import Origin
from sluice.core.redrive.records import has_record, identify_record, place_of, when_received

SAMPLES = 3
"""How many letters of a group are named with it."""
ID_DIGITS = 16
MOST_ATTEMPTS = 5
"""How often an event is judged again before it is left alone."""

OPEN, CLOSED = "open", "closed"
REDRIVABLE = (INGEST, *(consumer.name for consumer in CONSUMERS))
"""Whose letters are re-driven: an event's go through the edge's judge again, a consumer's to that consumer alone."""


class GroupKey(msgspec.Struct, frozen=True):
    """What the letters of a group have in common. Older letters name neither path nor rule."""

    fleet_id: str | None
    consumer: str
    reason: str
    path: str | None
    rule: str | None
    contract: str | None
    firmware: str | None

    @property
    def group_id(self) -> str:
        """Return the group's name: the same in every time range."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.astuple(self))).hexdigest()[:ID_DIGITS]


def key_of(letter: Letter) -> GroupKey:
    """Return the group of a letter."""
    return GroupKey(
        letter.fleet_id,
        letter.consumer,
        letter.reason,
        letter.path,
        letter.rule,
        letter.contract,
        letter.firmware,
    )


def is_whole(letter: Letter) -> bool:
    """Return whether a letter has all that a re-drive needs.

    Of an event: the bytes as text, uncut, their fleet and contract. Of a consumer: its record.
    """
    if letter.consumer != INGEST:
        return letter.consumer in REDRIVABLE and has_record(letter)
    if letter.event is None or letter.fleet_id is None or letter.contract is None:
        return False
    return len(letter.event.encode()) == letter.event_size


def identify(letter: Letter) -> str:
    """Return the id under which re-drives know a letter: a consumer's are told apart by their records."""
    return letter.letter_id if letter.consumer == INGEST else identify_record(letter)


class Standing(msgspec.Struct, frozen=True):
    """How a re-drive left a letter."""

    state: str
    attempts: int
    redrive_number: int

    @property
    def is_exhausted(self) -> bool:
        """Return whether it was judged as often as an event is."""
        return self.state == REJECTED and self.attempts >= MOST_ATTEMPTS


SENDING, ACCEPTED, ACCOUNTED, REJECTED, INCOMPLETE = "sending", "accepted", "accounted", "rejected", "incomplete"
"""A letter is being produced, or given to its consumer; its event is in raw-events, or its consumer has taken it; the
ledger accounts for it; it was rejected again; its bytes are not all there."""


def is_due(standing: Standing | None, redrive_number: int, alike: set[int]) -> bool:
    """Return whether a letter is to be judged, or given: one that was accepted, or was tried often enough, is not.

    One that a run left in `sending` may be in raw-events. Only the fix that it was begun with makes the same event
    of it: another one would store a second value under its id.
    """
    if standing is None:
        return True
    if standing.state == SENDING:
        return standing.redrive_number in alike
    if standing.state in (ACCEPTED, ACCOUNTED):
        return False
    return standing.redrive_number != redrive_number and standing.attempts < MOST_ATTEMPTS


def count_attempt(standing: Standing | None) -> int:
    """Count this attempt. What a run left behind in the middle of one is that attempt."""
    if standing is None:
        return 1
    return standing.attempts + (standing.state != SENDING)


Records = dict[str, tuple[Origin, datetime]]
"""The places and the receptions of the records behind letters, under the letters' ids."""


class _Group(msgspec.Struct):
    key: GroupKey
    first: str
    last: str
    samples: list[str] = []
    letters: set[str] = set()
    """The ids under which re-drives know them."""
    incomplete: int = 0


class Grouping:
    """Letters, counted by group; each once, however often it was stored or sent."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, _Group] = {}
        self.letters = 0
        self.records: Records = {}
        """Those of aggregate: a replay may have counted them."""

    def add(self, letter: Letter) -> None:
        """Add a letter."""
        key = key_of(letter)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, letter.failed_at, letter.failed_at, [], set())
        group.first, group.last = min(group.first, letter.failed_at), max(group.last, letter.failed_at)
        known_as = identify(letter)
        if known_as in group.letters:
            return
        self.letters += 1
        group.letters.add(known_as)
        whole = is_whole(letter)
        group.incomplete += not whole
        if whole and letter.consumer == AGGREGATE.name:
            self.records[known_as] = place_of(letter), when_received(letter)
        if len(group.samples) < SAMPLES:
            group.samples.append(letter.letter_id)

    def list_redrivable(self) -> list[str]:
        """List the ids of the letters that a re-drive may have a standing of."""
        return [one for group in self._groups.values() if group.key.consumer in REDRIVABLE for one in group.letters]

    def describe(self, standings: Mapping[str, Standing], most: int) -> list[dict[str, Any]]:
        """Describe the largest groups, and what re-drives made of their letters."""
        largest = sorted(self._groups.values(), key=lambda group: (-len(group.letters), group.key.group_id))
        return [_describe(group, standings) for group in largest[:most]]

    def __len__(self) -> int:
        return len(self._groups)


def _describe(group: _Group, standings: Mapping[str, Standing]) -> dict[str, Any]:
    counts = count_standings(standings[one] for one in group.letters if one in standings)
    settled = counts[ACCOUNTED] + counts["exhausted"] + group.incomplete
    return {
        "group_id": group.key.group_id,
        **msgspec.structs.asdict(group.key),
        "letters": len(group.letters),
        "first": group.first,
        "last": group.last,
        "samples": group.samples,
        "state": CLOSED if settled >= len(group.letters) else OPEN,
        "accounted": counts[ACCOUNTED],
        "in_flight": counts[ACCEPTED] + counts[SENDING],
        "still_bad": counts[REJECTED],
        "exhausted": counts["exhausted"],
        "incomplete": group.incomplete,
    }


def count_standings(standings: Iterable[Standing]) -> Counter[str]:
    """Count letters by their state; exhausted ones are not among the rejected."""
    return Counter("exhausted" if standing.is_exhausted else standing.state for standing in standings)
