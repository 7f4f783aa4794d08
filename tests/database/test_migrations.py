"""Migrations: what a linter finds in them, how they are applied, and that the previous release keeps working."""

import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import psycopg
import pytest

from sluice.core.api.keys import PublishedKey
from sluice.edge.control.sources import read_keys
from sluice.edge.database import Database, ask
from sluice.edge.migrations import MigrationError, migrate
from tests.database.server import MIGRATIONS, Databases

FILES = sorted(MIGRATIONS.glob("*.sql"))
SQUAWK = Path(__file__).with_name("squawk.toml")


# What the release before asks for a key.
FIND_BEFORE = """
    SELECT to_json(found) FROM (
        SELECT key_id, fleet_id, role, secret_hash, events_per_second, rejects_per_second, expires_at, revoked_at
        FROM api_key JOIN fleet USING (fleet_id)
        WHERE key_id = $1
    ) AS found
"""


def lint(*arguments: str) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("squawk")
    command = [str(linter), "--config", str(SQUAWK), "--reporter", "gcc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing_in_any_migration() -> None:
    found = lint(*map(str, FILES))
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.shows_fault(part="migration", fault="the previous release on the new schema")
def test_the_linter_would_find_what_locks_a_table_or_breaks_the_release_before(tmp_path: Path) -> None:
    bad = tmp_path / "0003_bad.sql"
    bad.write_text("CREATE INDEX by_name ON metric (name);\nALTER TABLE metric DROP COLUMN unit;\n")
    found = lint(str(bad))
    assert found.returncode != 0
    assert "require-concurrent-index-creation" in found.stdout
    assert "ban-drop-column" in found.stdout


def test_migrations_are_applied_once_in_order_and_none_waits_for_a_lock_for_long(
    databases: Databases, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE note AS SELECT current_setting('lock_timeout') AS waits;")
    (tmp_path / "0002_second.sql").write_text("ALTER TABLE note ADD COLUMN text text;")
    with databases.empty() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        assert migrate(connection, tmp_path) == ["0001_first", "0002_second"]
        assert migrate(connection, tmp_path) == []
        (row,) = connection.execute("SELECT waits, text FROM note").fetchall()
        assert row[0] != "0"
        assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_migration_that_fails_leaves_nothing_behind(databases: Databases, tmp_path: Path) -> None:
    (tmp_path / "0001_half.sql").write_text("CREATE TABLE note (text text); SELECT 1 / 0;")
    with databases.empty() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrate(connection, tmp_path)
        assert connection.execute("SELECT to_regclass('note'), count(*) FROM schema_migration").fetchone() == (None, 0)


def test_a_migration_that_was_applied_must_not_change(databases: Databases, tmp_path: Path) -> None:
    migration = tmp_path / "0001_first.sql"
    migration.write_text("CREATE TABLE note (text text);")
    with databases.empty() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        migrate(connection, tmp_path)
        migration.write_text("CREATE TABLE note (text text, more text);")
        with pytest.raises(MigrationError, match=r"0001_first\.sql was changed"):
            migrate(connection, tmp_path)


def test_migrating_what_is_migrated_changes_nothing(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        assert migrate(connection, MIGRATIONS) == []
        applied = connection.execute("SELECT version FROM schema_migration ORDER BY 1").fetchall()
    assert [version for (version,) in applied] == [path.stem for path in FILES]


@pytest.mark.shows_fault(part="migration", fault="the previous release on the new schema", expected="works")
def test_a_database_of_the_release_before_is_migrated_with_its_data_and_keeps_answering(
    databases: Databases, tmp_path: Path
) -> None:
    (tmp_path / FILES[0].name).write_bytes(FILES[0].read_bytes())
    with databases.empty() as dsn, psycopg.connect(dsn, autocommit=True) as owner:
        migrate(owner, tmp_path)
        owner.execute("INSERT INTO fleet (fleet_id) VALUES ('demo')")
        owner.execute(
            "INSERT INTO api_key (key_id, fleet_id, role, secret_hash) VALUES ('k', 'demo', 'device', %s)", ("0" * 64,)
        )
        with psycopg.connect(dsn, user="sluice_ingest", autocommit=True) as ingest:
            before = ask(ingest, FIND_BEFORE, "k")
            migrate(owner, MIGRATIONS)
            assert ask(ingest, FIND_BEFORE, "k") == before
        publish = Database(partial(psycopg.connect, dsn, user="sluice_publish", autocommit=True), 5)
        (key,) = read_keys(publish, datetime.now(UTC))
        publish.close()
    assert before is not None
    assert msgspec.json.decode(before, type=PublishedKey) == key


def test_there_are_partitions_for_now_and_for_two_days_as_soon_as_it_is_migrated(database: str) -> None:
    with psycopg.connect(database) as connection:
        for store in ("sample", "rollup_1m", "rollup_1h"):
            row = connection.execute(
                "SELECT range_agg(span) @> tstzrange(now() - interval '23 hours', now() + interval '47 hours'),"
                " bool_or(NOT isfinite(upper(span))) FROM partitions_of(%s)",
                (store,),
            ).fetchone()
            assert row == (True, False), store
        defaults = connection.execute("SELECT partrelid::regclass FROM pg_partitioned_table WHERE partdefid <> 0")
        # It would block every later partition.
        assert defaults.fetchall() == []
