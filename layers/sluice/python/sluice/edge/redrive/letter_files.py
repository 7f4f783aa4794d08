"""Dead letters as they lie in S3: objects of a day, read several at a time, and each letter once."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from sluice.core.failures.letterbox import read_letters
from sluice.core.failures.letters import Letter
from sluice.core.times import write_time
from sluice.edge.bucket import Bucket

AT_ONCE = 16
"""How many objects are read at a time."""
UNREADABLE = (msgspec.MsgspecError, ValueError, EOFError, OSError, zlib.error, gzip.BadGzipFile)
"""How an object that holds no letters of ours fails to be read. A silent S3 is Retryable."""


class LetterObject(msgspec.Struct, frozen=True):
    """One object, and its letters; None if it cannot be read."""

    name: str
    letters: list[Letter] | None


class LetterFiles:
    """The dead letters of a region."""

    def __init__(self, bucket: Bucket, region: str) -> None:
        self._bucket = bucket
        self.region = region
        self._prefix = f"dead_letters/region={region}/"

    def list_objects(self, since: datetime, until: datetime, after: str = "") -> Iterator[str]:
        """List the objects that may hold letters that failed in a time range, in the order of their names.

        A letter lies under the day of its failure. `after` is a name from which on the list continues.
        """
        day = since.date()
        while day <= until.date():
            prefix = f"{self._prefix}dt={day.isoformat()}/"
            if after < f"{prefix}~":
                for page in self._bucket.list_pages(prefix, after if after > prefix else ""):
                    yield from sorted(page)
            day += timedelta(days=1)

    def read(self, names: Iterable[str]) -> Iterator[LetterObject]:
        """Read objects in their order, some at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            left = iter(names)
            while piece := list(islice(left, AT_ONCE)):
                yield from pool.map(self._read, piece)

    def read_range(self, since: datetime, until: datetime, may_go_on: Callable[[], bool]) -> Iterator[Letter | None]:
        """Yield the letters of a time range, and None at the end if not all of them could be read in time."""
        first, last = write_time(since), write_time(until)
        for found in self.read(self.list_objects(since, until)):
            yield from (letter for letter in found.letters or () if first <= letter.failed_at < last)
            if not may_go_on():
                yield None
                return

    def _read(self, name: str) -> LetterObject:
        data = self._bucket.get(name)
        try:
            return LetterObject(name, read_letters(data))
        except UNREADABLE:
            return LetterObject(name, None)
