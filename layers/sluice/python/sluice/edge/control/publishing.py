"""Publishing control data: what the database holds becomes the newest document in S3, and then in Valkey.

Publishers may run side by side. Each reads the object before it reads the database, and replaces only the object that
it read: the last writer was the last reader.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.keys import KEYS, PublishedKey
from sluice.core.control.api_keys import MOST_KEYS
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

# Keys that work come first. Of those that ended, the newest are kept.
_KEYS = """
    SELECT coalesce(json_agg(found ORDER BY key_id), '[]') FROM (
        SELECT key_id, fleet_id, role, secret_hash, events_per_second, rejects_per_second, expires_at, revoked_at,
            home_region
        FROM api_key JOIN fleet USING (fleet_id)
        WHERE coalesce(least(revoked_at, expires_at), 'infinity') > $1::timestamptz
        ORDER BY coalesce(least(revoked_at, expires_at), 'infinity') DESC
        LIMIT $2::integer
    ) AS found
"""


class LostKeysError(Retryable):
    """The database lacks keys that are published and work: refusing their devices would not help."""


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
        at_least = 0
        for _ in range(TRIES):
            before = self._find()
            keys = read_keys(self._database, now)
            held = before.document
            if held is not None:
                _check_not_lost(held.items, keys, now)
            # Keys that have all ended long ago leave an empty list, which no reader takes in place of another.
            if held is not None and (held.items == keys or not keys) and held.version >= at_least:
                version, data = held.version, before.data
            else:
                version = _next_version(held, at_least, now)
                data = write_document(KEYS, version, keys)
                if not self._bucket.replace(name_in_bucket(KEYS), data, before.etag):
                    continue
                logger.info("published", kind=KEYS, version=version, items=len(keys))
            at_least = self._shared.put(version, data)
            if at_least <= version:
                return version
            # Valkey has a higher version, as after a loss of the object: count on from there.
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


def make_publisher(database: Database, settings: ControlSettings, place: CacheSettings) -> Publisher:
    """Make the publisher of a database."""
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=S3_TRIES, region=settings.aws_region)
    shared = Cache(partial(valkey.connect, place))
    return Publisher(database, Bucket(s3, settings.control_bucket), SharedCopy(KEYS, shared))


def read_keys(database: Database, now: datetime) -> tuple[PublishedKey, ...]:
    """Read the keys that callers may present, with what their fleets may send."""
    found = database.ask(_KEYS, (now - ENDED).isoformat(), str(MOST_KEYS))
    try:
        return msgspec.json.decode(found or b"[]", type=tuple[PublishedKey, ...])
    except msgspec.DecodeError as error:
        raise Retryable(f"a key's row cannot be read: {error}") from error


def _check_not_lost(published: Sequence[PublishedKey], keys: Sequence[PublishedKey], now: datetime) -> None:
    """Rows of keys are never deleted: a published key that works and has none is a loss, not a change."""
    there = {key.key_id for key in keys}
    lost = [key.key_id for key in published if key.works(now) and key.key_id not in there]
    if lost:
        raise LostKeysError(f"the database lacks {len(lost)} published keys, such as {lost[0]}: nothing is published")


def _next_version(before: Document[PublishedKey] | None, at_least: int, now: datetime) -> int:
    """Count on from the last version. The time keeps it growing even if the object was lost."""
    return max(before.version + 1 if before else 0, at_least + 1, int(now.timestamp() * 1000))
