"""Publishing control data: what the database holds becomes the newest document in S3, and then in Valkey.

Publishers may run side by side. Each reads the object before it reads the database, and replaces only the object that
it read: the last writer was the last reader.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.published import Document, UnreadableError, read_document, write_document
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.bucket import Bucket
from sluice.edge.cache import Cache
from sluice.edge.control.sources import SOURCES, Source
from sluice.edge.database import Database
from sluice.edge.published import SharedCopy, name_in_bucket
from sluice.edge.settings import CacheSettings, ControlSettings

logger = Logger()

# How long S3 may take to answer, and how often it is asked.
ANSWER_SECONDS, S3_TRIES = 1, 2
# Each other publisher that was faster costs one; there are few.
TRIES = 5


class LostRowsError(Retryable):
    """The database lacks what is published: to publish what it holds would refuse devices or let revoked keys in."""


class InBucket(NamedTuple):
    """The published object: its ETag, and its document if that can be read."""

    etag: str | None
    document: Document[Any] | None
    data: bytes


class Publisher:
    """Publishes each kind of control data."""

    def __init__(self, database: Database, bucket: Bucket, share: Callable[[str], SharedCopy]) -> None:
        self._database = database
        self._bucket = bucket
        self._sources = {source.kind: source for source in SOURCES}
        self._shared = {kind: share(kind) for kind in self._sources}

    def publish_all(self, now: datetime) -> dict[str, int]:
        """Publish every kind, and return their versions. A kind whose rows were lost does not keep the others back."""
        versions, lost = {}, []
        for kind in self._sources:
            try:
                versions[kind] = self.publish(kind, now)
            except LostRowsError as error:
                logger.warning("a kind of control data is not published", kind=kind, reason=str(error))
                lost.append(error)
        if lost:
            raise lost[0]
        return versions

    def find_lost(self, now: datetime) -> dict[str, list[str]]:
        """Find what of each kind is published and lost to the database, as after a restore; nothing is published."""
        lost = {}
        for kind, source in self._sources.items():
            held, items = self._find(source).document, source.read(self._database, now)
            lost[kind] = [] if held is None else list(source.find_lost(self._database, held.items, items, now))
        return lost

    def publish(self, kind: str, now: datetime) -> int:
        """Publish what the database holds now, and return its version; Retryable if S3 or Valkey does not have it."""
        source, shared = self._sources[kind], self._shared[kind]
        at_least = 0
        for _ in range(TRIES):
            before = self._find(source)
            items = source.read(self._database, now)
            held = before.document
            if held is not None:
                self._check_not_lost(source, held, items, now)
            # Keys that have all ended long ago leave an empty list, which no reader takes in place of another.
            useless = not items and not source.may_be_empty
            if held is not None and (held.items == items or useless) and held.version >= at_least:
                version, data = held.version, before.data
            else:
                version = _next_version(held, at_least, now)
                data = write_document(kind, version, items, may_be_empty=source.may_be_empty)
                if not self._bucket.replace(name_in_bucket(kind), data, before.etag):
                    continue
                logger.info("published", kind=kind, version=version, items=len(items))
            at_least = shared.put(version, data)
            if at_least <= version:
                return version
            # Valkey has a higher version, as after a loss of the object: count on from there.
        raise Retryable("others publish at the same time")

    def _find(self, source: Source[Any]) -> InBucket:
        found = self._bucket.find(name_in_bucket(source.kind))
        if found is None:
            return InBucket(None, None, b"")
        data, etag = found
        try:
            return InBucket(etag, read_document(data, source.kind, source.of), data)
        except UnreadableError as error:
            logger.warning("the published object is replaced", reason=str(error))
            return InBucket(etag, None, data)

    def _check_not_lost(self, source: Source[Any], held: Document[Any], items: tuple[Any, ...], now: datetime) -> None:
        """Rows are ended and never deleted or begun again: what is not as was published is a loss, and no change."""
        lost = source.find_lost(self._database, held.items, items, now)
        if lost:
            raise LostRowsError(
                f"the database lacks {len(lost)} published {source.kind}, such as {lost[0]}: nothing is published"
            )


def make_publisher(database: Database, settings: ControlSettings, place: CacheSettings) -> Publisher:
    """Make the publisher of a database."""
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=S3_TRIES, region=settings.aws_region)
    cache = Cache(partial(valkey.connect, place))
    return Publisher(database, Bucket(s3, settings.control_bucket), lambda kind: SharedCopy(kind, cache))


def _next_version(before: Document[Any] | None, at_least: int, now: datetime) -> int:
    """Count on from the last version. The time keeps it growing even if the object was lost."""
    return max(before.version + 1 if before else 0, at_least + 1, int(now.timestamp() * 1000))
