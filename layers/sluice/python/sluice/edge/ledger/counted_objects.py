"""Finding objects that are not counted yet, and counting each in one transaction.

A run may end anywhere: each object is recorded together with its counts, and the next run continues with the rest.
"""

import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import msgspec
import psycopg

from sluice.core.consumers import ACCOUNTED, ARCHIVE, ARCHIVED, DEAD_LETTERED
from sluice.core.errors import Retryable
from sluice.core.ledger.groups import INGEST, REJECTED
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.database import Connection, find_value
from sluice.edge.ledger.counting import cover
from sluice.edge.ledger.redriven_rows import account_for_rows
from sluice.edge.ledger.stored_records import (
    Clock,
    LetterRow,
    count_rejected,
    find_receptions,
    read_letters,
    read_rows,
    records_of,
)
from sluice.edge.ledger.tallies import count_outcomes

_COUNTED = "SELECT object, etag FROM counted_object WHERE object = ANY(%s)"
_LATEST = "SELECT max(object) FROM counted_object WHERE object >= %(prefix)s AND object < %(prefix)s || '~'"
_NOTE = """
    INSERT INTO counted_object (object, etag, row_count, new_count, received_from, received_to)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (object) DO UPDATE SET
        etag = excluded.etag, row_count = excluded.row_count,
        new_count = counted_object.new_count + excluded.new_count, counted_at = excluded.counted_at,
        received_from = excluded.received_from, received_to = excluded.received_to,
        -- match reads its ids again.
        id_part = NULL
"""
_NOTE_LATE = """
    INSERT INTO late_object (fleet_id, hour, object, events, redriven)
    SELECT fleet_id, hour, %s, events, redriven
    FROM unnest(%s::text[], %s::timestamptz[], %s::bigint[], %s::bigint[]) AS late (fleet_id, hour, events, redriven)
    ON CONFLICT (fleet_id, hour, object) DO UPDATE SET events = excluded.events, redriven = excluded.redriven
"""
_NEW_LETTERS = """
    INSERT INTO counted_letter (day, letter)
    SELECT * FROM unnest(%s::date[], %s::uuid[]) AS letters (day, letter)
    ORDER BY day, letter
    ON CONFLICT DO NOTHING
    RETURNING letter
"""


class Folder(msgspec.Struct, frozen=True):
    """The place of objects: a bucket, and the prefix before the day."""

    bucket: Bucket
    prefix: str


class Counts(msgspec.Struct):
    """The counts of a run; incomplete while objects are left."""

    objects: int = 0
    new: int = 0
    unreadable: dict[str, str] = {}
    """Objects that could not be counted, and why; their records stay a hole and become missing."""
    trouble: str | None = None
    """Why the buckets could not be listed to the end."""
    complete: bool = False
    """Whether all objects were searched; an unreadable one does not prevent calling other records missing."""


class CountedObjects:
    """One run over the objects in the buckets."""

    def __init__(self, connection: Connection, raw: Folder, letters: Folder, clock: Clock) -> None:
        self._connection = connection
        self._raw = raw
        self._letters = letters
        self._clock = clock

    def count(self, may_go_on: Callable[[], bool], *, all_letters: bool) -> Counts:
        """Count object after object, the oldest days first, as long as time is left.

        The search starts one day before the last counted day: a day's objects are written before the next day ends.
        Letters have the day of their failure, which may be long past: on request, all letters are searched. If one
        object fails, its transaction is rolled back, and the others are counted.
        """
        counts = Counts()
        folders = (
            (self._letters, self._count_letters, "" if all_letters else self._start(self._letters)),
            (self._raw, self._count_rows, self._start(self._raw)),
        )
        try:
            for folder, count, start in folders:
                for name, etag in self._find(folder, start):
                    if not may_go_on():
                        return counts
                    try:
                        counts.new += count(name, etag)
                        counts.objects += 1
                    except psycopg.OperationalError:
                        raise  # the database is down
                    except Exception as error:  # noqa: BLE001 - an object may hold anything
                        counts.unreadable[name] = repr(error)
        except Retryable as error:
            counts.trouble = str(error)
            return counts
        counts.complete = True
        return counts

    def _start(self, folder: Folder) -> str:
        latest = find_value(self._connection, _LATEST, {"prefix": folder.prefix})
        day = _day_of(latest) if latest else None
        # A name may contain a future day: without the limit, today's objects would be skipped.
        return f"{folder.prefix}dt={min(day, self._clock().date()) - timedelta(days=1)}" if day else ""

    def _find(self, folder: Folder, start: str) -> Iterator[tuple[str, str]]:
        """Yield names and ETags of objects that are not counted yet, or were overwritten."""
        for found in folder.bucket.list_pages(folder.prefix, start):
            counted: dict[str, str] = dict(self._connection.execute(_COUNTED, (list(found),)).fetchall())
            yield from ((name, etag) for name, etag in found.items() if counted.get(name) != etag)

    def _count_rows(self, name: str, etag: str) -> int:
        rows, index = read_rows(StoredFile(self._raw.bucket, name), self._clock)
        with self._connection.transaction():
            new = cover(self._connection, ARCHIVE.name, rows, ARCHIVED)
            account_for_rows(self._connection, rows)
            self._connection.execute(_NOTE, (name, etag, rows.num_rows, new, *find_receptions(rows)))
            # A replay finds late and redriven events by the hour that they belong to.
            if places := sorted({*index.late, *index.redriven}):
                columns = [[*column] for column in zip(*places, strict=True)]
                counts = [[found[place] for place in places] for found in (index.late, index.redriven)]
                self._connection.execute(_NOTE_LATE, (name, *columns, *counts))
        return new

    def _count_letters(self, name: str, etag: str) -> int:
        letters = read_letters(self._letters.bucket.get(name))
        with self._connection.transaction():
            new = self._count_rejected([letter for letter in letters if letter.consumer == INGEST])
            for consumer in ACCOUNTED:
                records = records_of((letter for letter in letters if letter.consumer == consumer.name), self._clock)
                new += cover(self._connection, consumer.name, records, DEAD_LETTERED)
            self._connection.execute(_NOTE, (name, etag, len(letters), new, None, None))
        return new

    def _count_rejected(self, letters: list[LetterRow]) -> int:
        by_id = {(letter.failed_at[:10], letter.letter_id[:32]): letter for letter in letters}
        days, ids = [day for day, _ in by_id], [one for _, one in by_id]
        new = {one for (one,) in self._connection.execute(_NEW_LETTERS, (days, ids)).fetchall()}
        counts = count_rejected(letter for (_, one), letter in by_id.items() if uuid.UUID(one) in new)
        count_outcomes(self._connection, INGEST, Counter({(group, REJECTED): n for group, n in counts.items()}))
        return counts.total()


def _day_of(name: str) -> date | None:
    day = re.search(r"dt=(\d{4}-\d{2}-\d{2})", name)
    try:
        return date.fromisoformat(day[1]) if day else None
    except ValueError:
        return None
