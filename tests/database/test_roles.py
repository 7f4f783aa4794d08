"""Every function's role may what the function does, and nothing else."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

REPLAYS = dict.fromkeys(("replay", "replay_chunk", "replay_swap"), "s")
"""Who shows how far replays are reads these."""

# select, insert, update, delete; in brackets the only columns that may be updated.
MAY = {
    "sluice_admin": {
        "answered": "sid",
        "api_key": "si(expires_at,revoked_at,successor)",
        "audit": "si",
        "fleet": "si(events_per_second,rejects_per_second,home_region,archived_at,version,retention_days,device_type)",
    }
    | REPLAYS
    | {"replay": "s(state,reason)", "redrive": "si(state,ended_at)", "redrive_letter": "s"}
    | {
        "alert_message": "s",
        "backtest": "si(state,ended_at,trouble)",
        "delivery": "s",
        "destination": "si(secret,least_severity,after_minutes,archived_at,version,tested_at)",
        "device_type": "s",
        "incident": "s(state,resolved_at,changed_at,resolution,acknowledged_at,acknowledged_by,open_devices,held,"
        "false_alarm)",
        "incident_device": "s(cleared_at)",
        "entity": "s",
        "metric": "s",
        "rollup_1d": "s",
        "rollup_1m": "s",
        "rule": "si(open,clear,breaches,of,severity,archived_at,version)",
        "series_state": "s",
        "silence": "si(until)",
    },
    "sluice_alert": {
        "alert_message": "si(sent_at,refused_at)",
        "incident": "siu",
        "incident_device": "siu",
        "incident_event": "i",
        "series_state": "siu",
        "silence": "s",
    },
    "sluice_attend": {
        "alert_message": "si(sent_at,refused_at)",
        "delivery": "si",
        "incident": "siu",
        "incident_device": "siu",
        "series_state": "s",
        "silence": "s",
    },
    "sluice_publish": {"api_key": "s", "destination": "s", "fleet": "s", "rule": "s"},
    # Of the release before: it looks keys up in the database.
    "sluice_checkpoint": {"audit": "s"},
    "sluice_ingest": {"api_key": "s", "fleet": "s"},
    "sluice_aggregate": {
        "settled_event": "si",
        "coverage": "siu",
        "dead_lettered_record": "sid",
        "dirty": "i",
        "entity": "si",
        "gap": "sid(given_up)",
        "horizon": "s",
        "metric": "si",
        "outcome": "i",
        "sample": "si",
        "shard": "s",
        "sighting": "siu",
        "unknown_field": "i",
    },
    "sluice_roll": {
        "change": "si",
        "coverage": "s",
        "dirty": "sid",
        "entity": "s",
        "horizon": "s(store)",
        "metric": "s",
        "rollup_1d": "siud",
        "rollup_1h": "siud",
        "rollup_1m": "siud",
        "sample": "s",
        "shard": "s(closed_until)",
    },
    "sluice_reconcile": {
        "counted_letter": "si",
        "counted_object": "siu",
        "coverage": "siu",
        "dead_lettered_record": "i",
        "fleet": "s",
        "gap": "sid(given_up)",
        "hole": "sid",
        "missing_event": "sid",
        "late_object": "si(events,redriven)",
        "outcome": "si",
        "redrive": "s",
        "redrive_letter": "s(state,changed_at)",
        "standing": "siu",
    }
    | REPLAYS,
    "sluice_match": {
        "counted_object": "s(id_part)",
        "coverage": "s",
        "dirty": "i",
        "entity": "s",
        "gap": "s",
        "horizon": "s(store)",
        "outcome": "i",
        "recurring_copy": "sid(state)",
        "replay": "s(replay_number)",
        "sample": "sd",
        "settled_event": "si(received_at)",
        "shard": "s",
    },
    "sluice_learn": {
        "baseline": "siud",
        "device_type": "siud",
        "device_types_read": "siud",
        "entity": "s",
        "learned": "s(published_at,baselines_at,tried_at,baselines_tried_at,expected)",
        "metric": "s",
        "rollup_1h": "s",
        "rollup_1m": "s",
        "shard": "s",
        "sighting": "s",
    },
    "sluice_backtest": {
        "backtest": "s(state,tries,claimed_at,ended_at,devices,rule_devices,result,trouble)",
        "device_type": "s",
        "device_types_read": "s",
        "entity": "s",
        "fleet": "s",
        "horizon": "s",
        "metric": "s",
        "rollup_1h": "s",
        "rollup_1m": "s",
        "rule": "s",
        "shard": "s",
        "sighting": "s",
        "tiered": "s",
    },
    "sluice_maintain": {
        "backtest": "sd",
        "change": "sd",
        "delivery": "sd",
        "incident": "sd",
        "series_state": "sd",
        "silence": "sd",
        "counted_back": "sd",
        "counted_letter": "sd",
        "counted_object": "sd",
        "dead_lettered_record": "sd",
        "settled_event": "sd",
        "dirty": "s",
        "horizon": "s(floor)",
        "late_object": "sd",
        "outcome": "sid",
        "rollup_1d": "sd",
        "rule": "s",
        "sighting": "sd",
        "tiered": "s",
        "unknown_field": "sid",
    },
    "sluice_tier": {
        "dirty": "s",
        "entity": "s",
        "horizon": "s(floor)",
        "metric": "s",
        "replay": "s",
        "rollup_1h": "s",
        "rollup_1m": "s",
        "shard": "s",
        "tiered": "sid",
    },
    "sluice_replay": {
        "audit": "si",
        "change": "i",
        "counted_back": "si",
        "counted_object": "s",
        "coverage": "siu",
        "dead_lettered_record": "sd",
        "dirty": "si(marked_at)",
        "entity": "s",
        "fleet": "s",
        "gap": "sid(given_up)",
        "generation": "s",
        "hole": "s",
        "horizon": "s(store)",
        "late_object": "s",
        "metric": "s",
        "missing_event": "s",
        "outcome": "si",
        "redrive_letter": "s",
        "replay": "siu",
        "replay_chunk": "sd",
        "replay_slice": "sid",
        "replay_swap": "sid",
        "replay_unread": "sd",
        "rollup_1h": "siud",
        "rollup_1m": "siud",
        "sample": "sid",
        "settled_event": "s",
        "shard": "s(shard)",
        "standing": "s",
        "tiered": "sid",
        "unlisted_file": "sid",
    },
    "sluice_redrive": {
        "audit": "si",
        "counted_back": "s",
        "coverage": "s",
        "fleet": "s",
        "gap": "sid(given_up)",
        "redrive": "s(state,position,counts,trouble,moved_at,sent_at,ended_at)",
        "redrive_letter": "siud",
    },
    # To lock a replay takes the right to update a column of it.
    "sluice_resend": {"replay": "s(replay_number)", "replay_chunk": "si"},
    "sluice_recount": {
        "coverage": "siu",
        "entity": "si",
        "generation": "si",
        "metric": "si",
        "replay": "s(replay_number)",
        "replay_unread": "si",
    },
    "sluice_trace": REPLAYS
    | dict.fromkeys(
        (
            "alert_message",
            "api_key",
            "counted_back",
            "coverage",
            "dirty",
            "entity",
            "fleet",
            "gap",
            "horizon",
            "incident",
            "incident_event",
            "sample",
            "settled_event",
            "shard",
        ),
        "s",
    ),
    "sluice_query": REPLAYS
    | dict.fromkeys(
        (
            "api_key",
            "baseline",
            "change",
            "coverage",
            "delivery",
            "dirty",
            "entity",
            "fleet",
            "gap",
            "hole",
            "horizon",
            "incident",
            "incident_device",
            "metric",
            "missing_event",
            "outcome",
            "redrive",
            "redrive_letter",
            "rollup_1d",
            "rollup_1h",
            "rollup_1m",
            "rollups",
            "rule",
            "sample",
            "series_state",
            "shard",
            "sighting",
            "silence",
            "standing",
            "tiered",
            "unknown_field",
        ),
        "s",
    ),
}
MAY_CALL = {
    "ensure_partition": {"sluice_aggregate", "sluice_roll", "sluice_replay"},
    "ensure_partitions": {"sluice_maintain"},
    "put_coverage_aside": {"sluice_aggregate", "sluice_reconcile", "sluice_recount", "sluice_replay"},
    "open_generation": {"sluice_replay"},
    "open_recomputed": {"sluice_replay"},
    "close_generation": {"sluice_replay"},
    "drop_generation": {"sluice_replay"},
    "drop_oldest_partition": {"sluice_maintain", "sluice_tier"},
}


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def test_there_is_no_role_and_no_grant_but_these(owner: psycopg.Connection[tuple[Any, ...]]) -> None:
    roles = owner.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'sluice%'").fetchall()
    assert {role for (role,) in roles} == set(MAY)
    rows = owner.execute(
        """
        SELECT rolname, relname, string_agg(letter, '' ORDER BY place) || coalesce(
            '(' || (
                SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
                WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
                AND has_column_privilege(pg_roles.oid, pg_class.oid, attname, 'UPDATE')
                AND NOT has_table_privilege(pg_roles.oid, pg_class.oid, 'UPDATE')
            ) || ')', ''
        )
        FROM pg_roles CROSS JOIN pg_class
        CROSS JOIN (VALUES (1, 's', 'SELECT'), (2, 'i', 'INSERT'), (3, 'u', 'UPDATE'), (4, 'd', 'DELETE'),
            (5, 't', 'TRUNCATE'), (6, 'r', 'REFERENCES'), (7, 'x', 'TRIGGER'), (8, 'm', 'MAINTAIN'))
            AS privileges (place, letter, privilege)
        WHERE rolname LIKE 'sluice%' AND relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
        AND has_table_privilege(pg_roles.oid, pg_class.oid, privilege)
        GROUP BY pg_roles.oid, pg_class.oid, rolname, relname
        """
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for role, table, may in rows:
        found.setdefault(role, {})[table] = may
    assert found == MAY


def test_what_runs_as_the_owner_is_called_by_those_who_need_it_only(
    owner: psycopg.Connection[tuple[Any, ...]],
) -> None:
    rows = owner.execute(
        "SELECT proname, coalesce(array_agg(rolname) FILTER (WHERE has_function_privilege(pg_roles.oid, pg_proc.oid,"
        " 'EXECUTE')), '{}') FROM pg_proc CROSS JOIN pg_roles WHERE prosecdef AND rolname LIKE 'sluice%'"
        " AND prorettype <> 'trigger'::regtype GROUP BY pg_proc.oid, proname"
    ).fetchall()
    assert {name: set(roles) for name, roles in rows} == MAY_CALL


def test_what_runs_as_the_owner_finds_only_what_the_owner_put_there(
    owner: psycopg.Connection[tuple[Any, ...]],
) -> None:
    rows = owner.execute("SELECT proname, proconfig FROM pg_proc WHERE prosecdef").fetchall()
    assert {name for name, _ in rows} >= set(MAY_CALL)
    for name, settings in rows:
        assert "search_path=public, pg_temp" in settings, name


@pytest.mark.parametrize("role", MAY)
def test_a_function_owns_nothing_and_makes_nothing(database: str, role: str) -> None:
    with psycopg.connect(database, user=role, autocommit=True) as connection:
        for forbidden in ("CREATE TABLE mine (x int)", "DROP TABLE dirty", "ALTER TABLE horizon ADD COLUMN x int"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
        row = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (False, False, False, False)


def test_roll_holds_the_floor_where_it_is_and_cannot_move_it(database: str) -> None:
    with psycopg.connect(database, user="sluice_roll") as roll:
        assert roll.execute("SELECT floor::text FROM horizon WHERE store = 'sample' FOR SHARE").fetchone()
        with psycopg.connect(database, user="sluice_maintain", autocommit=True) as maintain:
            maintain.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                maintain.execute("UPDATE horizon SET floor = now() WHERE store = 'sample'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), roll.transaction():
            roll.execute("UPDATE horizon SET floor = now()")
        with pytest.raises(psycopg.errors.UniqueViolation), roll.transaction():
            roll.execute("UPDATE horizon SET store = 'rollup_1h' WHERE store = 'sample'")


def test_partitions_are_reached_through_their_store_only(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        (partition,) = owner.execute("SELECT partition_name FROM partitions_of('sample') LIMIT 1").fetchone() or ("",)
    with psycopg.connect(database, user="sluice_query", autocommit=True) as query:
        query.execute("SELECT count(*) FROM sample")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query.execute(f"SELECT count(*) FROM {partition}")
