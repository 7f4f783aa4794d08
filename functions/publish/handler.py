"""Publish: every minute, makes sure that S3 and Valkey hold the control data that the database holds.

admin publishes each change itself. This run publishes what a process that died left unpublished, and what Valkey lost.
"""

import os
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from sluice.core.api.keys import KEYS
from sluice.edge import aws
from sluice.edge import cache as valkey
from sluice.edge.bucket import Bucket
from sluice.edge.control.publishing import ANSWER_SECONDS, S3_TRIES, Publisher
from sluice.edge.database import Database, connect
from sluice.edge.published import SharedCopy
from sluice.edge.settings import CacheSettings, DatabaseSettings, PublishSettings


@cache
def build() -> Publisher:
    """Build the function, once per cold start."""
    settings, login = PublishSettings.from_environ(os.environ), DatabaseSettings.from_environ(os.environ)
    seconds = settings.publish_answer_seconds
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=S3_TRIES, region=settings.aws_region)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    return Publisher(
        # The server's timeout must come first: its error names the reason.
        Database(partial(connect, login, seconds), seconds + 1),
        Bucket(s3, settings.control_bucket),
        SharedCopy(KEYS, shared),
    )


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Publish once, and return the version."""
    return {"version": build().publish(datetime.now(UTC))}
