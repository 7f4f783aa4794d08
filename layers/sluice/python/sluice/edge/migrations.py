"""Bringing the database to the schema that this release needs."""

import hashlib
from pathlib import Path
from typing import Any

import psycopg

# Two deployments at once must not both migrate; the number is arbitrary.
_LOCK = 5_170_001

# While a migration waits for a table, all later queries wait behind it: a failed deployment is better.
_LOCK_WAIT = "5s"

_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migration (
        version text PRIMARY KEY,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationError(Exception):
    """The database and the migration files do not match."""


def migrate(connection: psycopg.Connection[tuple[Any, ...]], folder: Path) -> list[str]:
    """Apply missing migrations in the order of their file names, each in its own transaction."""
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        connection.execute(_TABLE)
        applied = dict(connection.execute("SELECT version, sha256 FROM schema_migration").fetchall())
        new = []
        for path in sorted(folder.glob("*.sql")):
            text = path.read_bytes()
            sha256 = hashlib.sha256(text).hexdigest()
            if path.stem not in applied:
                with connection.transaction():
                    connection.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_WAIT,))
                    connection.execute(text)
                    connection.execute(
                        "INSERT INTO schema_migration (version, sha256) VALUES (%s, %s)", (path.stem, sha256)
                    )
                new.append(path.stem)
            elif applied[path.stem] != sha256:
                raise MigrationError(f"{path.name} was changed after it was applied; write a new migration instead")
        return new
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
