"""Publish: every minute, makes sure that S3 and Valkey hold the control data that the database holds.

admin publishes each change itself. This run publishes what a process that died left unpublished, and what Valkey lost.

{"find_lost": true} publishes nothing, and returns what is published and lost to the database, as after a restore.
"""

import os
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from sluice.edge.control.publishing import Publisher, make_publisher
from sluice.edge.database import Database, connect
from sluice.edge.settings import CacheSettings, DatabaseSettings, PublishSettings


@cache
def build() -> Publisher:
    """Build the function, once per cold start."""
    settings, login = PublishSettings.from_environ(os.environ), DatabaseSettings.from_environ(os.environ)
    seconds = settings.publish_answer_seconds
    # The server's timeout must come first: its error names the reason.
    return make_publisher(
        Database(partial(connect, login, seconds), seconds + 1), settings, CacheSettings.from_environ(os.environ)
    )


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Publish once, and return the version of each kind; or return what is lost."""
    publisher, now = build(), datetime.now(UTC)
    if event.get("find_lost"):
        return {"lost": publisher.find_lost(now)}
    return {"versions": publisher.publish_all(now)}
