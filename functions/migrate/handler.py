"""Migrate: every deployment runs it before the functions that need the new schema."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger

from sluice.edge.context import Context, seconds_to_work
from sluice.edge.database import Database, connect_owner
from sluice.edge.migrations import migrate
from sluice.edge.settings import OwnerSettings

logger = Logger()

MIGRATIONS = Path(__file__).parent / "migrations"


def handler(_event: object, context: Context) -> dict[str, Any]:
    """Bring the database up to date and return what was applied."""
    settings = OwnerSettings.from_environ(os.environ)
    database = Database(lambda: connect_owner(settings), seconds_to_work(context))
    with closing(database), database.use() as connection:
        applied = migrate(connection, MIGRATIONS)
    logger.info("migrated", applied=applied)
    return {"applied": applied}
