"""Baselines and rollups in the database, as learn reads and writes them: a shard at a time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sluice.core.detect.learned import (
    MOVED_DEVIATIONS,
    MOVED_UNNOTICED,
    Baseline,
    LearnedDevice,
    LearnedSeries,
    usual_from,
)
from sluice.core.detect.statistics import LEAST_READINGS
from sluice.edge.database import Connection, find_value

HOURS_BEFORE, HOURS_AFTER = 24, MOVED_UNNOTICED // timedelta(hours=1)
"""The least hours on both sides of a change of firmware that show whether a level changed."""

SETTINGS = (
    "SET LOCAL jit = off",
    # It would remember what was unpacked of each row's arrays, which no other row has.
    "SET LOCAL enable_memoize = off",
    "SET LOCAL work_mem = '64MB'",
)

_DUE_FOR_STATISTICS = """
    SELECT shard, closed_until FROM learned JOIN shard USING (shard)
    WHERE published_at <= %(before)s AND isfinite(closed_until)
    ORDER BY tried_at, shard
    LIMIT %(most)s
"""

_DUE_FOR_BASELINES = """
    SELECT shard, date_trunc('hour', closed_until) FROM learned JOIN shard USING (shard)
    WHERE baselines_at <= %(before)s AND baselines_tried_at <= %(tried_before)s AND isfinite(closed_until)
    ORDER BY baselines_tried_at, shard
    LIMIT 1
"""

# In the order of the statement that computes them.
_COLUMNS = (
    *("entity_key", "metric_key", "shard", "computed_at", "since", "restarted_by", "counts", "means", "deviations"),
    *("low", "high", "hour_count", "hour_mean", "hour_deviation", "least_deviation", "interval_seconds"),
    *("gap_seconds", "active_hours"),
)
_STORE = "INSERT INTO baseline ({columns}) {computed} ON CONFLICT (entity_key, metric_key) DO UPDATE SET {changes}"
_FORGET = "DELETE FROM baseline WHERE shard = %s AND computed_at < %s"
_OLDEST = "SELECT min(published_at) FROM learned JOIN shard USING (shard) WHERE isfinite(closed_until)"


class Due(msgspec.Struct, frozen=True):
    """A shard, and up to when it is rolled."""

    shard: int
    until: datetime


class Baselines:
    """learn's side of the database."""

    def __init__(self, connection: Connection, learning: timedelta, days: int) -> None:
        self._connection = connection
        self._learning = learning
        self._days = timedelta(days=days)

    def find_due(self, before: datetime, most: int) -> list[Due]:
        """Find the shards whose statistics were published before a moment; first those not tried for longest."""
        rows = self._connection.execute(_DUE_FOR_STATISTICS, {"before": before, "most": most}).fetchall()
        return [Due(shard, until) for shard, until in rows]

    def find_due_for_baselines(self, before: datetime, tried_before: datetime) -> Due | None:
        """Find a shard whose baselines were computed and tried before two moments; first one not tried for longest."""
        row = self._connection.execute(_DUE_FOR_BASELINES, {"before": before, "tried_before": tried_before}).fetchone()
        return Due(*row) if row is not None else None

    def note_try(self, shard: int, now: datetime) -> None:
        """Remember that a shard's statistics are begun; whatever becomes of them, the other shards are next."""
        self._connection.execute("UPDATE learned SET tried_at = %s WHERE shard = %s", [now, shard])

    def note_try_of_baselines(self, shard: int, now: datetime) -> None:
        """Remember that a shard's baselines are begun."""
        self._connection.execute("UPDATE learned SET baselines_tried_at = %s WHERE shard = %s", [now, shard])

    def compute(self, due: Due, now: datetime) -> int:
        """Compute the baselines of a shard from full hours, forget those of devices that are gone, and count them."""
        store = sql.SQL(_STORE).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)),
            computed=_read_statement("baselines_of_devices"),
            changes=sql.SQL(", ").join(
                sql.SQL("{name} = excluded.{name}").format(name=sql.Identifier(name)) for name in _COLUMNS[2:]
            ),
        )
        asked = _baseline_parameters(due.until, self._days, now) | {"shard": due.shard}
        with self._connection.transaction():
            apply_settings(self._connection)
            stored = self._connection.execute(store, asked).rowcount
            self._connection.execute(_FORGET, [due.shard, now])
            self._connection.execute("UPDATE learned SET baselines_at = %s WHERE shard = %s", [now, due.shard])
        return stored

    def read(self, due: Due) -> list[LearnedDevice]:
        """Read what is usual now for the devices of a shard."""
        parameters = {
            "shard": due.shard,
            "until": due.until,
            "learning": self._learning,
            "readings": LEAST_READINGS,
            "deviations": MOVED_DEVIATIONS,
            "unnoticed": MOVED_UNNOTICED,
        }
        with self._connection.transaction():
            apply_settings(self._connection)
            with self._connection.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(_read_statement("read_statistics"), parameters).fetchall()
        return list(_read_devices(rows))

    def read_expected(self) -> dict[int, Mapping[str, Sequence[int]]]:
        """Read how many devices of each fleet and shard should have sent lately, and how many of them were silent."""
        return dict(self._connection.execute("SELECT shard, expected FROM learned").fetchall())

    def note_published(self, shard: int, now: datetime, expected: Mapping[str, Sequence[int]]) -> None:
        """Remember that a shard's statistics are published."""
        self._connection.execute(
            "UPDATE learned SET published_at = %s, expected = %s WHERE shard = %s", [now, Jsonb(expected), shard]
        )

    def find_oldest(self) -> datetime | None:
        """Find when the oldest published statistics were published; None before anything was rolled."""
        found: datetime | None = find_value(self._connection, _OLDEST)
        return found


def apply_settings(connection: Connection) -> None:
    """Set a transaction up for statements that unpack many arrays."""
    for setting in SETTINGS:
        connection.execute(setting)


def compute_baselines(
    connection: Connection, entities: Sequence[int], until: datetime, days: timedelta
) -> list[dict[str, Any]]:
    """Compute what learn's baselines of some devices were, if it computed them at a full hour; store nothing."""
    asked = _baseline_parameters(until, days, until) | {"entities": [*entities]}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_read_statement("baselines_of_devices"), asked).fetchall()


def read_baseline(row: Mapping[str, Any]) -> Baseline:
    """Read the baseline of a row."""
    return Baseline(**{name: row[name] for name in Baseline.__struct_fields__})


def _baseline_parameters(until: datetime, days: timedelta, now: datetime) -> dict[str, Any]:
    return {
        "shard": None,
        "entities": None,
        "since": until - days,
        "until": until,
        "now": now,
        "readings": LEAST_READINGS,
        "hours_before": HOURS_BEFORE,
        "hours_after": HOURS_AFTER,
        "deviations": MOVED_DEVIATIONS,
    }


def _read_devices(rows: Sequence[dict[str, Any]]) -> Iterator[LearnedDevice]:
    for (fleet_id, device_id), found in groupby(rows, key=lambda row: (row["fleet_id"], row["device_id"])):
        there = list(found)
        yield LearnedDevice(
            fleet_id, device_id, there[0]["last_seen_at"], [_read_series(row) for row in there], there[0]["device_type"]
        )


def _read_series(row: dict[str, Any]) -> LearnedSeries:
    baseline = read_baseline(row) if row["counts"] is not None else None
    return LearnedSeries(
        metric=row["metric"],
        recent=usual_from(row["moments"]),
        hour=usual_from(row["hour_moments"]),
        last_minute=row["last_minute"],
        learned=row["learned"],
        baseline=baseline,
    )


def _read_statement(name: str) -> sql.SQL:
    text: Any = (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
    return sql.SQL(text)
