"""Which of an id's copies is the first, and what its later copies are: repetitions, or conflicts.

The first is that with the lowest Kafka partition, offset and reception, as in a replay. It wins.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from sluice.core.errors import Conflict
from sluice.core.failures.letters import MAX_BODY, Letter, about_record, cut_text
from sluice.core.records import KafkaRecord
from sluice.core.samples.events import Event
from sluice.core.times import write_time

CONSUMER = "match"
"""The function that its dead letters name."""

State = Literal["open", "first", "settled"]


class Member(msgspec.Struct, frozen=True):
    """A row of raw whose id seems to recur."""

    id_hash: int
    object: str
    row: int
    found_at: datetime
    state: State


class Copy(msgspec.Struct, frozen=True):
    """A member with the event that its row holds."""

    member: Member
    record: KafkaRecord
    event: Event

    @property
    def place(self) -> tuple[int, int, datetime]:
        """Return what orders copies."""
        return (self.record.origin.partition, self.record.origin.offset, self.event.received_at)


class Family(msgspec.Struct, frozen=True):
    """The copies of one event id of one device, with other bytes among them."""

    first: Copy
    conflicts: tuple[Copy, ...]
    """Those with other bytes than the first that are not settled yet, each record once."""
    members: tuple[Member, ...]

    @property
    def found_at(self) -> datetime:
        """Return when the oldest of its open members was found: an id may recur every hour."""
        return min(
            (member.found_at for member in self.members if member.state == "open"), default=self.first.member.found_at
        )

    @property
    def received_until(self) -> datetime:
        """Return the latest reception of the copies that decide."""
        return max(copy.event.received_at for copy in (self.first, *self.conflicts))


def choose_few_files(members: Iterable[Member], most: int) -> list[Member]:
    """Choose ids whose members are in so many files together, in their order; the first id in any case."""
    ids: defaultdict[int, list[Member]] = defaultdict(list)
    for member in members:
        ids[member.id_hash].append(member)
    files: set[str] = set()
    chosen: list[Member] = []
    for mine in ids.values():
        together = files | {member.object for member in mine}
        if not chosen or together == files or len(together) <= most:
            files = together
            chosen += mine
    return chosen


def find_families(copies: Iterable[Copy]) -> list[Family]:
    """Group copies by their events' identity; a hash alone may stand for several."""
    families: defaultdict[tuple[str, str, bytes], list[Copy]] = defaultdict(list)
    for copy in copies:
        families[copy.event.fleet_id, copy.event.device_id, copy.event.key].append(copy)
    return [_judge(sorted(found, key=lambda copy: copy.place)) for found in families.values()]


def _judge(copies: Sequence[Copy]) -> Family:
    first = copies[0]
    # The delivery stream writes at least once: two rows may hold one record.
    conflicts = {
        copy.place: copy
        for copy in copies
        if copy.member.state != "settled" and copy.record.value != first.record.value
    }
    return Family(first, tuple(conflicts.values()), tuple(copy.member for copy in copies))


def may_count_twice(first: Event, later: Event) -> bool:
    """Return whether both may be samples: one time has one sample. A late event becomes one only by a replay."""
    return not first.late and first.effective_time != later.effective_time


def write_conflict(first: Copy, later: Copy) -> Letter:
    """Write the dead letter of the later of two events with the same id; it holds the bytes of both."""
    origin = first.record.origin
    detail = (
        f"the id is that of an event with other bytes, received at {write_time(first.event.received_at)};"
        " the earlier one counts"
    )
    # It became a conflict as it was received. So a letter that is written again is the same letter.
    letter = about_record(later.record, Conflict(detail), CONSUMER, later.event.received_at)
    return msgspec.structs.replace(
        letter,
        first_event=cut_text(first.record.value, MAX_BODY),
        first_kafka_partition=origin.partition,
        first_kafka_offset=origin.offset,
    )
