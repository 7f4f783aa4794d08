"""Migrate: run by every deployment before the functions that need the new shape."""

import os
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger

from sluice.edge.database import connect_owner
from sluice.edge.migrations import migrate
from sluice.edge.settings import OwnerSettings

logger = Logger()

MIGRATIONS = Path(__file__).parent / "migrations"


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Bring the database up to date and say what was applied."""
    with connect_owner(OwnerSettings.from_environ(os.environ)) as connection:
        applied = migrate(connection, MIGRATIONS)
    logger.info("migrated", applied=applied)
    return {"applied": applied}
