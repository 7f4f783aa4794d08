"""Keys by their ids. A process has all of them in memory: an invented one costs at most a look for newer ones."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sluice.core.api.keys import KEYS, PublishedKey, Site, open_with, parse_key
from sluice.core.api.requests import Request
from sluice.core.errors import Refusal, Retryable
from sluice.edge import aws
from sluice.edge.bucket import Bucket
from sluice.edge.cache import Cache
from sluice.edge.published import Published, SharedCopy
from sluice.edge.settings import KeySettings

# A request waits for S3 no longer than this, twice.
ANSWER_SECONDS, TRIES = 1, 2

Keys = dict[str, PublishedKey]


class KeyStore:
    """Finds a key by its id."""

    def __init__(self, published: Published[PublishedKey, Keys]) -> None:
        self._published = published

    def load(self, now: datetime) -> None:
        """Read the keys before the first request; Retryable if no source answers."""
        self._published.load(now)

    def find(self, key_id: str, now: datetime) -> PublishedKey | None:
        """Find a key, or None if no such key exists; Retryable while no source answers and the key is unknown."""
        found = self._published.find(now)
        if key_id not in found.content:
            # The key may have been created since.
            found = self._published.find_missing(now)
            if key_id not in found.content and found.away is not None:
                raise found.away
        return found.content.get(key_id)


def make_keystore(settings: KeySettings, cache: Cache) -> KeyStore:
    """Make a function's own keys; they are read at their first use."""

    def open_bucket() -> Bucket:
        s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
        return Bucket(s3, settings.control_bucket)

    return KeyStore(
        Published(
            KEYS,
            PublishedKey,
            by_id,
            SharedCopy(KEYS, cache),
            open_bucket,
            timedelta(seconds=settings.key_valkey_seconds),
            timedelta(seconds=settings.key_s3_seconds),
        )
    )


def by_id(keys: Sequence[PublishedKey]) -> Keys:
    """Arrange keys by their ids."""
    return {key.key_id: key for key in keys}


def authenticate(request: Request, keys: KeyStore, site: Site, role: str) -> PublishedKey:
    """Authenticate a request by its API key, or refuse it with the reason."""
    presented = parse_key(request.key, site.stage)
    try:
        stored = keys.find(presented.key_id, request.received_at)
    except Retryable as error:
        raise Refusal(429, "keys_unavailable", "The key cannot be checked right now; try again.") from error
    return open_with(presented, stored, role, site.region, request.received_at)
