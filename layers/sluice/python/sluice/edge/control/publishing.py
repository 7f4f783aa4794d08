"""Publishing control data: what the database holds becomes the newest document in S3, and then in Valkey.

Publishers may run side by side. Each reads the object before it reads the database, and replaces only the object that
it read: whoever writes last has read last.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.keys import KEYS, PublishedKey
from sluice.core.errors import Retryable
from sluice.core.published import Document, UnreadableError, read_document, write_document
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.bucket import Bucket
from sluice.edge.cache import Cache
from sluice.edge.database import Database
from sluice.edge.published import SharedCopy, name_in_bucket
from sluice.edge.settings import CacheSettings, ControlSettings

logger = Logger()

# How long S3 may take to answer, and how often it is asked.
ANSWER_SECONDS, S3_TRIES = 1, 2
# Each other publisher that was faster costs one; there are few.
TRIES = 5
ENDED = timedelta(days=30)
"""How long a key that has ended is still published, so that its callers read that it was revoked or has expired."""

_KEYS = """
    SELECT coalesce(json_agg(found ORDER BY key_id), '[]') FROM (
        SELECT key_id, fleet_id, role, secret_hash, events_per_second, rejects_per_second, expires_at, revoked_at,
            home_region
        FROM api_key JOIN fleet USING (fleet_id)
        WHERE coalesce(least(revoked_at, expires_at), 'infinity') > $1::timestamptz
    ) AS found
"""


class LostKeysError(Retryable):
    """The database has no keys, and there were some: refusing every device would not help."""


class InBucket(NamedTuple):
    """The published object: its ETag, and its document if that can be read."""

    etag: str | None
    document: Document[PublishedKey] | None
    data: bytes


class Publisher:
    """Publishes the keys with their fleets' quotas."""

    def __init__(self, database: Database, bucket: Bucket, shared: SharedCopy) -> None:
        self._database = database
        self._bucket = bucket
        self._shared = shared

    def publish(self, now: datetime) -> int:
        """Publish what the database holds now, and return its version; Retryable if S3 or Valkey does not have it."""
        for _ in range(TRIES):
            before = self._find()
            keys = read_keys(self._database, now)
            if before.document is not None and before.document.items == keys:
                version, data = before.document.version, before.data
            else:
                if before.document is not None and before.document.items and not keys:
                    self._check_not_lost(len(before.document.items))
                version = _next_version(before.document, now)
                data = write_document(KEYS, version, keys)
                if not self._bucket.replace(name_in_bucket(KEYS), data, before.etag):
                    continue
                logger.info("published", kind=KEYS, version=version, items=len(keys))
            self._shared.put(version, data)
            return version
        raise Retryable("others publish at the same time")

    def _find(self) -> InBucket:
        found = self._bucket.find(name_in_bucket(KEYS))
        if found is None:
            return InBucket(None, None, b"")
        data, etag = found
        try:
            return InBucket(etag, read_document(data, KEYS, PublishedKey), data)
        except UnreadableError as error:
            logger.warning("the published object is replaced", reason=str(error))
            return InBucket(etag, None, data)

    def _check_not_lost(self, published: int) -> None:
        """Keys are never deleted: there may be none that has not ended long ago, but not none at all."""
        if self._database.ask("SELECT 1 FROM api_key LIMIT 1") is None:
            raise LostKeysError(f"the database has no keys, and {published} are published: they stay")


def make_publisher(database: Database, settings: ControlSettings, place: CacheSettings) -> Publisher:
    """Make the publisher of a database."""
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=S3_TRIES, region=settings.aws_region)
    shared = Cache(partial(valkey.connect, place))
    return Publisher(database, Bucket(s3, settings.control_bucket), SharedCopy(KEYS, shared))


def read_keys(database: Database, now: datetime) -> tuple[PublishedKey, ...]:
    """Read the keys that callers may present, with what their fleets may send."""
    found = database.ask(_KEYS, (now - ENDED).isoformat())
    return msgspec.json.decode(found or b"[]", type=tuple[PublishedKey, ...])


def _next_version(before: Document[PublishedKey] | None, now: datetime) -> int:
    """Count on from the last version. The time keeps it growing even if the object was lost."""
    return max(before.version + 1 if before else 0, int(now.timestamp() * 1000))
