"""Control data as processes read it: from memory, and what is newer from Valkey and from S3.

Both hold the same documents. Valkey answers fast and may lose what it was given; S3 never does. So a process
also asks S3 from time to time.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.published import MOST_VERSION, Document, Item, UnreadableError, read_document, replaces
from sluice.edge.bucket import Bucket
from sluice.edge.cache import Cache, Script

logger = Logger()

Content = TypeVar("Content")

LAST_KNOWN = timedelta(hours=6)
"""How long a copy is used that no source has confirmed."""
MOST_LOOKS = 10
"""How often in a row a process looks for what it misses; then once in a second, however often it misses something."""
LEAVE_ALONE = timedelta(seconds=5)
"""How long it waits after no source answered."""
SHARED_SECONDS = 24 * 3600
"""How long Valkey keeps a document after it was last published. That happens every minute."""

PREFIX = "published/"
VERSION, DOCUMENT = "version", "document"
# A publisher that was delayed must not put an older document over a newer one.
_REPLACE_OLDER = Script(
    """
    local held = tonumber(redis.call('hget', KEYS[1], 'version') or 0)
    if not held or held > tonumber(ARGV[4]) then
        held = 0
    end
    if tonumber(ARGV[1]) > held then
        redis.call('hset', KEYS[1], 'version', ARGV[1], 'document', ARGV[2])
    end
    redis.call('expire', KEYS[1], ARGV[3])
    return redis.call('hget', KEYS[1], 'version')
    """
)


class SharedCopy:
    """The copy of a document in Valkey."""

    def __init__(self, kind: str, cache: Cache) -> None:
        self._name = f"published:{kind}"
        self._cache = cache

    def put(self, version: int, document: bytes) -> int:
        """Replace an older copy, and return the version of the copy that is there now."""
        return int(self._cache.run(_REPLACE_OLDER, [self._name], [version, document, SHARED_SECONDS, MOST_VERSION]))

    def version(self) -> int:
        """Return the version of the copy; 0 if there is none."""
        found = self._cache.get_field(self._name, VERSION)
        return int(found) if found is not None and found.isdigit() else 0

    def get(self) -> bytes:
        """Read the copy."""
        return self._cache.get_field(self._name, DOCUMENT) or b""


def name_in_bucket(kind: str) -> str:
    """Name the object that holds a document."""
    return f"{PREFIX}{kind}.json"


@dataclass(frozen=True)
class Believed(Generic[Content]):
    """What a process knows, and the failure if no source confirmed it."""

    content: Content
    away: Retryable | None = None
    just_confirmed: bool = False
    """Whether a source confirmed it for this very question: only then is what it lacks known to be absent."""


class Published(Generic[Item, Content]):
    """One process's copy of one kind of control data.

    A process outside the private network has no Valkey, and asks S3 alone.
    """

    def __init__(
        self,
        kind: str,
        of: type[Item],
        arrange: Callable[[Sequence[Item]], Content],
        shared: SharedCopy | None,
        bucket: Callable[[], Bucket],
        valkey_every: timedelta,
        s3_every: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind = kind
        self._of = of
        self._arrange = arrange
        self._shared = shared
        self._open_bucket = bucket
        self._bucket: Bucket | None = None
        self._valkey_every = valkey_every
        self._s3_every = s3_every
        self._clock = clock
        self._held: Document[Item] | None = None
        self._content: Content | None = None
        self._etag: str | None = None
        self._away: Retryable | None = None
        self._looked_at: datetime | None = None
        self._looks_left = float(MOST_LOOKS)
        self._missed_at = clock()
        self._asked_bucket_at: datetime | None = None
        self._confirmed_at: datetime | None = None

    def find(self, now: datetime) -> Believed[Content]:
        """Return the content; Retryable if no source answers and no copy is young enough."""
        rest = self._valkey_every if self._away is None else min(self._valkey_every, LEAVE_ALONE)
        if not _is_within(rest, self._looked_at, now):
            self._look(now)
        return self._believe(now)

    def load(self, now: datetime) -> None:
        """Look before anyone asks; after a failure, the first to ask looks again at once."""
        self._look(now)
        if self._away is not None:
            self._looked_at = None
            raise self._away

    def find_missing(self, now: datetime) -> Believed[Content]:
        """Return the content after a look for what it misses; such looks are limited in number."""
        looks = self._away is None and self._may_look()
        if looks:
            self._look(now)
        return self._believe(now, just_looked=looks)

    def _may_look(self) -> bool:
        """Allow some looks for what is missing in a row; each second one more is allowed."""
        now = self._clock()
        self._looks_left = min(float(MOST_LOOKS), self._looks_left + now - self._missed_at)
        self._missed_at = now
        if self._looks_left < 1:
            return False
        self._looks_left -= 1
        return True

    def _believe(self, now: datetime, *, just_looked: bool = False) -> Believed[Content]:
        if self._content is None or not _is_within(LAST_KNOWN, self._confirmed_at, now):
            raise self._away or Retryable(f"no {self._kind} are published")
        return Believed(self._content, self._away, just_looked and self._away is None)

    def _look(self, now: datetime) -> None:
        """Take what is newer, and remember whether any source has this version."""
        self._looked_at = now
        self._away = None
        confirmed = self._look_in_cache()
        if not confirmed or not _is_within(self._s3_every, self._asked_bucket_at, now):
            try:
                self._look_in_bucket()
            except Retryable as error:
                logger.warning("control data cannot be read from S3", kind=self._kind, reason=str(error))
                self._away = None if confirmed else error
                # Valkey is enough for a while. Requests must not wait for a silent S3 again and again.
                self._asked_bucket_at = now - self._s3_every * 0.75 if confirmed else None
            else:
                self._asked_bucket_at = now
        if self._away is None:
            self._confirmed_at = now

    def _look_in_cache(self) -> bool:
        if self._shared is None:
            return False
        held = self._held.version if self._held is not None else 0
        with contextlib.suppress(Retryable):
            version = self._shared.version()
            if version > held:
                return self._take(self._shared.get(), "Valkey")
            return version == held and self._held is not None
        return False

    def _look_in_bucket(self) -> None:
        self._bucket = self._bucket or self._open_bucket()
        found = self._bucket.get_changed(name_in_bucket(self._kind), self._etag)
        if found is not None:
            document, etag = found
            if not self._take(document, "S3"):
                raise Retryable(f"S3 has no usable copy of the {self._kind}")
            self._etag = etag

    def _take(self, data: bytes, source: str) -> bool:
        """Take a document if it is readable and newer; return whether this process now has it or a newer one."""
        try:
            document = read_document(data, self._kind, self._of)
        except UnreadableError as error:
            logger.warning("a copy of control data is not used", source=source, reason=str(error))
            return False
        if replaces(document, self._held):
            self._held, self._content = document, self._arrange(document.items)
            return True
        return self._held is not None and document.is_usable


def _is_within(period: timedelta, begun: datetime | None, now: datetime) -> bool:
    """Return whether a period has not passed; a clock that was set back by more ends it too."""
    return begun is not None and abs(now - begun) < period
