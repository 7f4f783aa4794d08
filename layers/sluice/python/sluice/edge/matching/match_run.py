"""One run of match: find the ids that recur with other bytes, and settle them.

read the ids of new files -> compare them with each other and with those of 26 hours -> note what recurs
read the copies themselves -> write the dead letters of conflicts -> remove what counts twice

A run may end anywhere: each batch is noted in one transaction, and each id is settled in one. What earlier runs found
is settled first, so that a run whose time the search takes up settles something too.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
from aws_lambda_powertools import Logger

from sluice.core.events.contracts import Contracts
from sluice.core.limits import Limits
from sluice.core.matching.copies import Copy, Family, Member, choose_few_files, find_families, write_conflict
from sluice.core.messages import Message
from sluice.edge.broker import Broker
from sluice.edge.bucket import Bucket
from sluice.edge.database import Connection
from sluice.edge.matching.copy_reading import CopyReader
from sluice.edge.matching.done import Done
from sluice.edge.matching.finding import Finding, share_out
from sluice.edge.matching.id_store import IdStore
from sluice.edge.matching.settling import settle
from sluice.edge.matching.tables import MatchTables

logger = Logger()

AT_ONCE = 300
"""How many open copies are looked at together."""
MOST_FILES = 20
"""How many files the ids that are read together may be in. An id in more of them is read alone."""

PATIENCE = timedelta(hours=3)
"""How long a conflict waits for earlier events to appear in raw. Those that take longer are missing."""
OUT_OF_ORDER = timedelta(minutes=5)
"""How much later than an event one may be received that Kafka has before it: ingest gives up sooner."""


class Matching(msgspec.Struct, frozen=True):
    """The dependencies of every run."""

    raw: Bucket
    store: IdStore
    broker: Broker
    topic: str
    contracts: Contracts
    limits: Limits
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class Time(msgspec.Struct, frozen=True):
    """Whether time is left for another step of each part of a run."""

    settle_first: Callable[[], bool]
    find: Callable[[], bool]
    settle: Callable[[], bool]


class MatchRun:
    """A run, as long as its connection and its time last."""

    def __init__(self, matching: Matching, connection: Connection, time: Time) -> None:
        self._matching = matching
        self._connection = connection
        self._tables = MatchTables(connection)
        self._time = time
        self._reader = CopyReader(matching.raw, matching.contracts, matching.limits, matching.clock)
        self.done = Done()

    def run(self) -> None:
        """Settle, find and settle while time is left; the next run continues."""
        self.done.unsettled += self._tables.expire()
        self._settle_open(self._time.settle_first)
        finding = Finding(self._matching.raw, self._matching.store, self._tables, self.done)
        for files in share_out(self._tables.list_unread()):
            if not self._time.find():
                break
            finding.find(files)
        self._settle_open(self._time.settle)

    def _settle_open(self, may_go_on: Callable[[], bool]) -> None:
        """Settle id by id while time is left; those that are not ready wait for the next run."""
        passed: set[int] = set()
        while (members := self._tables.list_open(AT_ONCE, passed)) and may_go_on():
            chosen = choose_few_files(members, MOST_FILES)
            families = find_families(self._read_copies(chosen, may_go_on))
            held_up = False
            for family in self._store_letters(self._find_ready(families)):
                # What was read is settled even if reading took all time. Only locks may take long.
                if held_up and not may_go_on():
                    break
                held_up |= not self._settle(family)
            passed |= {member.id_hash for member in chosen}

    def _settle(self, family: Family) -> bool:
        """Settle an id; return whether it could be."""
        try:
            settled = settle(self._connection, family, self._matching.limits)
        except psycopg.errors.LockNotAvailable:
            # A replay swaps, or maintain raises the floor: the next run settles it.
            logger.info("an id waits for another change", extra={"device_id": family.first.event.device_id})
            return False
        self.done.removed += settled.removed
        self.done.unsettled += settled.kept
        return True

    def _read_copies(self, members: Sequence[Member], may_go_on: Callable[[], bool]) -> list[Copy]:
        copies = self._reader.read(members, may_go_on)
        self._tables.drop(copies.gone)
        self.done.unsettled += len(copies.gone)
        return copies.read

    def _find_ready(self, families: Sequence[Family]) -> list[Family]:
        """Return those whose copies aggregate has come to, and before which no other copy will appear in raw."""
        needed = [
            {family.first.record.origin, *(copy.record.origin for copy in family.conflicts)} for family in families
        ]
        covered = self._tables.find_covered({origin for origins in needed for origin in origins})
        # Only now: a file that was counted in between is covered, and not read.
        unread_from = self._tables.find_unread_from()
        impatient = self._matching.clock() - PATIENCE
        return [
            family
            for family, origins in zip(families, needed, strict=True)
            if origins <= covered.keys()
            and (
                family.found_at < impatient
                or (
                    all(covered[origin] for origin in origins)
                    and (unread_from is None or family.received_until + OUT_OF_ORDER < unread_from)
                )
            )
        ]

    def _store_letters(self, families: Sequence[Family]) -> list[Family]:
        """Store the dead letters of conflicts; return the families whose letters are all stored."""
        letters = [
            (place, write_conflict(family.first, copy))
            for place, family in enumerate(families)
            for copy in family.conflicts
        ]
        messages = [
            Message(self._matching.topic, letter.letter_id.encode(), msgspec.json.encode(letter))
            for _, letter in letters
        ]
        deliveries = self._matching.broker.store(messages) if messages else []
        failed = {place for (place, _), delivery in zip(letters, deliveries, strict=True) if delivery is not None}
        if failed:
            logger.warning("dead letters of conflicts are not stored", extra={"families": len(failed)})
        self.done.conflicts += sum(place not in failed for place, _ in letters)
        return [family for place, family in enumerate(families) if place not in failed]
