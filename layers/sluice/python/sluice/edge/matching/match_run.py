"""One run of match: find the ids that recur with other bytes, then settle them.

read the ids of new files -> compare them with each other and with those of 26 hours -> note what recurs
read the copies themselves -> write the dead letters of conflicts -> remove what counts twice

A run may end anywhere: each batch is noted in one transaction, and each id is settled in one.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from aws_lambda_powertools import Logger

from sluice.core.errors import Ahead, Poison
from sluice.core.events.contracts import Contracts
from sluice.core.limits import Limits
from sluice.core.matching.copies import Copy, Family, Member, find_families, write_conflict
from sluice.core.matching.ids import (
    Hashes,
    Numbers,
    find_differing,
    find_places,
    find_repeated,
    find_shared,
    number_within,
)
from sluice.core.messages import Message
from sluice.core.records import KafkaRecord
from sluice.core.samples.events import Event, read_event
from sluice.edge.aws import RefusedError
from sluice.edge.broker import Broker
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.database import Connection
from sluice.edge.matching.id_store import IdStore, locate
from sluice.edge.matching.raw_ids import Batch, Gathering, read_records
from sluice.edge.matching.settling import settle
from sluice.edge.matching.tables import MatchTables, UnreadFile
from sluice.edge.replay.raw_files import UNREADABLE

logger = Logger()

MOST_ROWS = 40_000_000
"""How many rows a batch has at most: more than an hour of baseline's average load."""
MOST_OF_A_FLEET = 1_000
"""How many recurring events of a fleet one batch takes on. More are counted only: a device or a gateway is broken."""
FEW = 10
"""How many copies of one id a group of earlier ids gives: its earliest ones decide."""
AT_ONCE = 300
"""How many open copies are read together."""

PATIENCE = timedelta(hours=3)
"""How long a conflict waits for earlier events to appear in raw. Those that take longer are missing."""

Found = tuple[int, str, int]


class Done(msgspec.Struct):
    """What a run did."""

    ids: int = 0
    conflicts: int = 0
    removed: int = 0
    unsettled: int = 0
    """Recurring events that were left out, given up, or that still count twice."""


class Matching(msgspec.Struct, frozen=True):
    """The dependencies of every run."""

    raw: Bucket
    store: IdStore
    broker: Broker
    topic: str
    contracts: Contracts
    limits: Limits
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class MatchRun:
    """A run, as long as its connection and its time last."""

    def __init__(self, matching: Matching, connection: Connection, may_go_on: Callable[[], bool]) -> None:
        self._matching = matching
        self._connection = connection
        self._tables = MatchTables(connection)
        self._may_go_on = may_go_on
        self._done = Done()

    def run(self) -> Done:
        """Find and settle while time is left; the next run continues."""
        for files in _batches(self._tables.list_unread()):
            if not self._may_go_on():
                break
            self._find(files)
        self._settle_open()
        self._done.unsettled += self._tables.expire()
        return self._done

    def _find(self, files: Sequence[UnreadFile]) -> None:
        """Find what recurs in some files, and note it together with the files."""
        batch = self._gather(files)
        names = [name for name, _ in batch.files]
        if not len(batch.ids.hashes):
            self._tables.note("", names, [])
            return
        hashes = find_repeated(batch.ids)
        found: set[Found] = set()
        for part in self._tables.list_parts():
            for group in self._matching.store.read(part):
                old = group.read_hashes()
                shared = find_shared(batch.ids.hashes, old)
                if not len(shared):
                    continue
                mine, bodies = old[shared], group.read_bodies()[shared]
                differing = find_differing(batch.ids, mine, bodies)
                if not len(differing):
                    continue
                hashes = np.union1d(hashes, differing)
                chosen = np.flatnonzero(np.isin(mine, differing))
                chosen = chosen[number_within(mine[chosen]) < FEW]
                found |= _place(mine[chosen], group.read_rows()[shared[chosen]], group.files)
        found |= self._choose(batch, hashes, found)
        part = self._matching.store.write(batch.ids, batch.files)
        self._tables.note(part, names, found)
        self._done.ids += len(batch.ids.hashes)

    def _choose(self, batch: Batch, hashes: Hashes, found: set[Found]) -> set[Found]:
        """Choose so many recurring events of each fleet, and drop the earlier copies of the others."""
        ids = batch.ids.take(find_places(batch.ids.hashes, hashes))
        chosen = number_within(batch.fleets[ids.rows]) < MOST_OF_A_FLEET
        self._done.unsettled += int(len(chosen) - chosen.sum())
        mine = ids.take(chosen)
        taken = set(mine.hashes.astype(np.int64).tolist())
        found -= {one for one in found if one[0] not in taken}
        return _place(mine.hashes, mine.rows, batch.files)

    def _gather(self, files: Sequence[UnreadFile]) -> Batch:
        gathering = Gathering()
        unreadable = []
        for file in files:
            try:
                gathering.add(file.name, StoredFile(self._matching.raw, file.name))
            except RefusedError as error:
                # The next run tries again, and an alarm fires if it waits for too long.
                logger.warning("a raw file was refused", extra={"object": file.name, "reason": str(error)})
            except UNREADABLE as error:
                logger.exception("a raw file cannot be read", extra={"object": file.name, "reason": repr(error)})
                unreadable.append(file)
        if unreadable:
            self._tables.note("", [file.name for file in unreadable], [])
            self._done.unsettled += sum(file.rows for file in unreadable)
        return gathering.end()

    def _settle_open(self) -> None:
        """Settle id by id while time is left; those that are not ready wait for the next run."""
        passed: set[int] = set()
        while self._may_go_on() and (members := self._tables.list_open(AT_ONCE, passed)):
            families = find_families(self._read_copies(members))
            for family in self._store_letters(self._find_ready(families)):
                settled = settle(self._connection, family, self._matching.limits)
                self._done.removed += settled.removed
                self._done.unsettled += settled.kept
            passed |= {member.id_hash for member in members}

    def _read_copies(self, members: Sequence[Member]) -> list[Copy]:
        """Read copies while time is left, but only all of an id or none of them."""
        copies: list[Copy] = []
        unread: set[int] = set()
        gone: list[Member] = []
        for name in sorted({member.object for member in members}):
            mine = {member.row: member for member in members if member.object == name}
            records = self._read_records(name, mine.keys()) if self._may_go_on() else None
            if records is None:
                unread |= {member.id_hash for member in mine.values()}
                continue
            for row, member in mine.items():
                try:
                    copies.append(Copy(member, records[row], self._read_event(records[row])))
                except (KeyError, Poison) as error:
                    told = {"object": name, "row": row, "reason": repr(error)}
                    logger.exception("a copy cannot be read", extra=told)
                    gone.append(member)
                except Ahead:
                    unread.add(member.id_hash)  # the next release can read it
        self._tables.drop(gone)
        self._done.unsettled += len(gone)
        return [copy for copy in copies if copy.member.id_hash not in unread]

    def _read_records(self, name: str, rows: Collection[int]) -> dict[int, KafkaRecord] | None:
        """Read rows of a file; None if S3 refuses it now, and nothing if it is damaged."""
        try:
            return read_records(StoredFile(self._matching.raw, name), rows)
        except RefusedError as error:
            logger.warning("a raw file was refused", extra={"object": name, "reason": str(error)})
            return None
        except UNREADABLE as error:
            logger.exception("a raw file cannot be read", extra={"object": name, "reason": repr(error)})
            return {}

    def _read_event(self, record: KafkaRecord) -> Event:
        return read_event(record, self._matching.contracts, self._matching.limits, self._matching.clock())

    def _find_ready(self, families: Sequence[Family]) -> list[Family]:
        """Return those whose copies aggregate has come to, and before which no other copy will appear in raw."""
        needed = [
            {family.first.record.origin, *(copy.record.origin for copy in family.conflicts)} for family in families
        ]
        covered = self._tables.find_covered({origin for origins in needed for origin in origins})
        complete = not self._tables.list_unread()
        impatient = self._matching.clock() - PATIENCE
        return [
            family
            for family, origins in zip(families, needed, strict=True)
            if origins <= covered.keys()
            and (family.found_at < impatient or (complete and all(covered[origin] for origin in origins)))
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
        self._done.conflicts += sum(place not in failed for place, _ in letters)
        return [family for place, family in enumerate(families) if place not in failed]


def _batches(files: Sequence[UnreadFile]) -> Iterator[list[UnreadFile]]:
    batch: list[UnreadFile] = []
    rows = 0
    for file in files:
        if batch and rows + file.rows > MOST_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(file)
        rows += file.rows
    if batch:
        yield batch


def _place(hashes: Hashes, rows: Numbers, files: Sequence[tuple[str, int]]) -> set[Found]:
    signed = hashes.astype(np.int64).tolist()
    return {(one, *place) for one, place in zip(signed, locate(rows, files), strict=True)}
