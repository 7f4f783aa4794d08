"""The same migrations on a server with TimescaleDB, which neither deployments nor the local stack have."""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sluice.edge.migrations import migrate
from tests.database.server import MIGRATIONS

SERVER = os.environ.get("SLUICE_TEST_TIMESCALE_DSN")
STORES = ("rollup_1h", "rollup_1m", "sample")
OLD = datetime(2024, 2, 15, 12, 30, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    SERVER is None,
    reason="SLUICE_TEST_TIMESCALE_DSN names no server that has TimescaleDB, as one who may make databases",
)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def owner() -> Iterator[Connection]:
    """A connection to a migrated database of its own."""
    name = sql.Identifier(f"sluice_test_{uuid.uuid4().hex}")
    with psycopg.connect(SERVER or "", autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            with psycopg.connect(make_conninfo(SERVER or "", dbname=name.as_string(None).strip('"'))) as connection:
                connection.autocommit = True
                migrate(connection, MIGRATIONS)
                yield connection
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def ask(owner: Connection, query: str, *parameters: object) -> Any:
    row = owner.execute(query, parameters).fetchone()
    return row and row[0]


def test_stores_are_hypertables_and_partitions_are_not_ours_to_make(owner: Connection) -> None:
    found = owner.execute("SELECT hypertable_name FROM timescaledb_information.hypertables ORDER BY 1").fetchall()
    assert tuple(name for (name,) in found) == STORES
    for store in STORES:
        assert ask(owner, "SELECT ensure_partition(%s, now())", store) is False


def test_rollups_are_compressed_and_end_where_the_licence_allows_it(owner: Connection) -> None:
    if ask(owner, "SHOW timescaledb.license") != "timescale":
        pytest.skip("compression and policies are under the Timescale licence")
    jobs = owner.execute(
        "SELECT hypertable_name, proc_name FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL"
    ).fetchall()
    for store in ("rollup_1m", "rollup_1h"):
        assert len([1 for name, _ in jobs if name == store]) == 2, store


def test_a_sample_is_taken_once_at_any_time_and_dropped_below_the_floor(owner: Connection) -> None:
    for moment in (OLD, OLD, OLD + timedelta(hours=2)):
        owner.execute(
            "INSERT INTO sample VALUES (1, %s, %s, 0, '{}', '{}') ON CONFLICT DO NOTHING", (uuid.UUID(int=1), moment)
        )
    assert ask(owner, "SELECT count(*) FROM sample") == 2
    assert ask(owner, "SELECT drop_oldest_partition('sample')") is None
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", (OLD + timedelta(hours=1),))
    assert ask(owner, "SELECT drop_oldest_partition('sample')") is not None
    assert ask(owner, "SELECT drop_oldest_partition('sample')") is None
    assert ask(owner, "SELECT effective_time FROM sample") == OLD + timedelta(hours=2)


def test_a_rollup_is_rolled_again_and_seen_through_the_view(owner: Connection) -> None:
    owner.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('demo', 'a', 0)")
    owner.execute("INSERT INTO metric (name, unit) VALUES ('cpu_temp', 'degC')")
    for count in (1, 2):
        owner.execute(
            "INSERT INTO rollup_1m SELECT entity_key, %s, '{1}', ARRAY[%s], '{1}', '{0}', '{1}', '{1}', '{1}',"
            " '{1}', '{1}', '{}', '{}' FROM entity"
            " ON CONFLICT (entity_key, window_start) DO UPDATE SET counts = excluded.counts",
            (OLD, count),
        )
    assert ask(owner, "SELECT count FROM rollups WHERE resolution = '1m'") == 2
