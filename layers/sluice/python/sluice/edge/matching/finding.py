"""Finding ids that recur with other bytes: new ones are compared with each other and with those of 26 hours."""

from collections.abc import Iterator, Sequence

import numpy as np
from aws_lambda_powertools import Logger

from sluice.core.matching.ids import Hashes, Numbers, find_differing, find_repeated, find_shared, number_within
from sluice.core.matching.recurring import Recurring
from sluice.edge.aws import RefusedError
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.matching.done import Done
from sluice.edge.matching.id_store import Group, IdStore, locate
from sluice.edge.matching.raw_ids import Batch, Gathering
from sluice.edge.matching.tables import Found, MatchTables, UnreadFile
from sluice.edge.replay.raw_files import UNREADABLE

logger = Logger()

MOST_ROWS = 50_000_000
"""How many rows a batch has at most: more than a quarter of an hour of large's average load, in 2 GB."""
MOST_OF_A_FLEET = 1_000
"""How many recurring events of a fleet one batch takes on. More are counted only: a device or a gateway is broken."""
FEW = 4
"""How many earlier copies of one id a batch notes. Those with other bytes than each other are noted already."""

Place = tuple[str, int]


class Finding:
    """The search of one run."""

    def __init__(self, raw: Bucket, store: IdStore, tables: MatchTables, done: Done) -> None:
        self._raw = raw
        self._store = store
        self._tables = tables
        self._done = done

    def find(self, files: Sequence[UnreadFile]) -> None:
        """Find what recurs in some files, and note it together with the files."""
        batch = self._gather(files)
        names = [name for name, _ in batch.files]
        if not len(batch.ids.hashes):
            self._tables.note("", names, [])
            return
        recurring = Recurring(batch.ids, batch.fleets, MOST_OF_A_FLEET)
        recurring.add(find_repeated(batch.ids))
        earlier: dict[int, list[Place]] = {}
        damaged = [part for part in self._tables.list_parts() if not self._compare(part, batch, recurring, earlier)]
        taken = recurring.list_taken()
        found = [
            (one, *place, recurring.turns[one])
            for one, place in zip(taken.hashes.tolist(), locate(taken.rows, batch.files), strict=True)
        ]
        found += [(one, *place, recurring.turns[one]) for one, places in earlier.items() for place in places]
        # Stored first: while S3 refuses everything, no part is given up.
        part = self._store.write(batch.ids, batch.files)
        self._tables.note(part, names, _signed(found), damaged)
        self._done.ids += len(batch.ids.hashes)
        self._done.unsettled += recurring.count_left_out()

    def _compare(self, part: str, batch: Batch, recurring: Recurring, earlier: dict[int, list[Place]]) -> bool:
        """Compare a batch with a part; return whether the part can be read. Otherwise its files are read again."""
        try:
            for group in self._store.read(part):
                _compare_group(group, batch, recurring, earlier)
        except (RefusedError, *UNREADABLE) as error:
            logger.exception("the ids of earlier files cannot be read", extra={"part": part, "reason": repr(error)})
            return False
        return True

    def _gather(self, files: Sequence[UnreadFile]) -> Batch:
        gathering = Gathering(sum(file.rows for file in files))
        unreadable = []
        for file in files:
            try:
                gathering.add(file.name, StoredFile(self._raw, file.name))
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


def share_out(files: Sequence[UnreadFile]) -> Iterator[list[UnreadFile]]:
    """Share files out among batches."""
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


def _compare_group(group: Group, batch: Batch, recurring: Recurring, earlier: dict[int, list[Place]]) -> None:
    old = group.read_hashes()
    shared = find_shared(batch.ids.hashes, old)
    if not len(shared):
        return
    mine, bodies = old[shared], group.read_bodies()[shared]
    differing = find_differing(batch.ids, mine, bodies)
    if not len(differing):
        return
    # Only rows of ids that are taken on: a fleet may repeat millions.
    chosen = np.flatnonzero(np.isin(mine, recurring.add(differing)))
    chosen = chosen[number_within(mine[chosen]) < FEW]
    if len(chosen):
        _keep_few(earlier, mine[chosen], group.read_rows()[shared[chosen]], group.files)


def _keep_few(earlier: dict[int, list[Place]], hashes: Hashes, rows: Numbers, files: Sequence[tuple[str, int]]) -> None:
    for one, place in zip(hashes.tolist(), locate(rows, files), strict=True):
        places = earlier.setdefault(one, [])
        if len(places) < FEW:
            places.append(place)


def _signed(found: Sequence[Found]) -> set[Found]:
    """PostgreSQL's numbers of 64 bits have a sign."""
    signed = np.array([one for one, *_ in found], dtype=np.uint64).astype(np.int64).tolist()
    return {(one, name, row, turn) for one, (_, name, row, turn) in zip(signed, found, strict=True)}
