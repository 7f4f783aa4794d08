"""Migrate: every deployment runs it before the functions that need the new schema, or what is published.

apply what is new -> publish keys, rules and destinations, in the form that this release reads
"""

import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger

from sluice.edge.context import Context, seconds_to_work
from sluice.edge.control.publishing import LostRowsError, make_publisher
from sluice.edge.database import Database, connect_owner
from sluice.edge.migrations import migrate
from sluice.edge.settings import CacheSettings, ControlSettings, OwnerSettings

logger = Logger()

MIGRATIONS = Path(__file__).parent / "migrations"


def handler(_event: object, context: Context) -> dict[str, Any]:
    """Bring the database up to date and return what was applied."""
    owner, control = OwnerSettings.from_environ(os.environ), ControlSettings.from_environ(os.environ)
    place = CacheSettings.from_environ(os.environ)
    database = Database(lambda: connect_owner(owner), seconds_to_work(context))
    with closing(database):
        with database.use() as connection:
            applied = migrate(connection, MIGRATIONS)
        logger.info("migrated", applied=applied)
        publisher = make_publisher(database, control, place)
        try:
            return {"applied": applied, "versions": publisher.publish_all(datetime.now(UTC))}
        except LostRowsError as error:
            # A restored database. It needs a deployment before an admin can do anything about it, and every release
            # reads what is published. publish fails until the rows are there.
            logger.exception("a kind of control data is not published")
            return {"applied": applied, "unpublished": str(error)}
