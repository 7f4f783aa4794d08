"""What a device-day costs a backtest: to read it from the database, to judge it, and to open its incidents.

Minutes are those of a device that reports every ten seconds, in four series. Judged are quiet days of made-up series.
"""

import time
from datetime import datetime, timedelta
from typing import Any

from bench import planted
from bench.filling import METRICS, name_device
from bench.report import Report
from bench.stores import Connection, Stores
from sluice.core.detect.defaults import SILENCE_METRIC
from sluice.core.detect.series_rules import RuleKind, SeriesRule
from sluice.edge.backtest.reading import Device, StoredHistories
from sluice.edge.database import connect

DEVICES, MANY = 20, 100
RULES: dict[str, tuple[RuleKind, float]] = {
    "above": ("above", 1e6),
    "above, each third reading a breach": ("above", 52.0),
    "zscore": ("zscore", 12.0),
    "baseline": ("baseline", 12.0),
    "range": ("range", 0.25),
    "level": ("level", 4.0),
    "stuck": ("stuck", 0.05),
    "silence": ("silence", 10.0),
}

# Six readings in three bins for each of four series.
_FILL = """
    INSERT INTO rollup_1m (
        entity_key, window_start, metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
    )
    SELECT
        entity_key, minute, keys, '{6,6,6,6}', ARRAY[middle, middle, middle, middle], '{1,1,1,1}',
        ARRAY[6 * middle, 6 * middle, 6 * middle, 6 * middle],
        ARRAY[middle - 1, middle - 1, middle - 1, middle - 1], ARRAY[middle + 1, middle + 1, middle + 1, middle + 1],
        ARRAY[middle, middle, middle, middle], ARRAY[middle, middle, middle, middle],
        ARRAY(
            SELECT (key::bigint << 32) + 2147483648 + round((middle + step) * 10)
            FROM unnest(keys) AS key, generate_series(-1, 1) AS step ORDER BY 1
        ),
        '{1,4,1,1,4,1,1,4,1,1,4,1}'
    FROM entity CROSS JOIN generate_series(%(start)s, %(end)s - interval '1 minute', interval '1 minute') AS minute
    CROSS JOIN (SELECT array_agg(metric_key ORDER BY metric_key) AS keys FROM metric) AS metrics
    CROSS JOIN LATERAL (SELECT 50 + extract(minute FROM minute)::integer %% 7 AS middle) AS value
    WHERE fleet_id = %(fleet)s AND device_id < %(before)s
"""


def report_backtests(report: Report, stores: Stores, connection: Connection, fleet: str, start: datetime) -> None:
    """Report what a device-day takes of a core."""
    report.table("CPU ms of a backtest per device-day", ["judge, open"])
    for name, (kind, opens) in RULES.items():
        report.line(f"  {name}", [measure_judging(kind, opens)], ".1f")
    report.table("reading a device-day from the database", ["CPU ms", "its CPU ms"])
    report.line("  one series of four", measure_reading(stores, connection, fleet, start), ".1f")


def measure_judging(kind: RuleKind, opens: float) -> float:
    """Measure a rule on the quiet days of some devices."""
    rule = _make_rule("made", kind, opens, SILENCE_METRIC if kind == "silence" else "made")
    days = [planted.make_series(seed, "none")[0] for seed in range(DEVICES)]
    weeks = [planted.learn_week(values) for values in days]
    began = time.process_time()
    for values, week in zip(days, weeks, strict=True):
        planted.run_rule(values, week, rule)
    return 1000 * (time.process_time() - began) / DEVICES


def measure_reading(stores: Stores, connection: Connection, fleet: str, start: datetime) -> list[float]:
    """Measure what the function and the database take to read a day of some devices, with baselines."""
    day, hour = timedelta(days=1), timedelta(hours=1)
    connection.execute("SELECT ensure_partitions('rollup_1m', %s, %s)", [start - hour, start + day])
    given = {"start": start - hour, "end": start + day, "fleet": fleet, "before": name_device(MANY)}
    connection.execute(_FILL, given)
    connection.execute("ANALYZE rollup_1m")
    rule = _make_rule(fleet, "above", 1e6, next(iter(METRICS)))
    rows = connection.execute(
        "SELECT entity_key, device_id, first_seen_at FROM entity WHERE fleet_id = %s AND device_id < %s",
        [fleet, name_device(MANY)],
    )
    devices = [Device(*row) for row in rows]
    nothing: Any = None  # no file is read
    with connect(stores.login("backtest"), 60) as own:
        best = [float("inf"), float("inf")]
        for _ in range(3):
            began, database = time.process_time(), stores.database_seconds()
            stored = StoredHistories(own, nothing, rule, start, start + day, 7 * day)
            found = sum(len(each.series[0].minutes.at) for each in stored.read(devices))
            if found != MANY * 25 * 60:
                raise RuntimeError(f"{found} minutes were read")
            spent = [time.process_time() - began, stores.database_seconds() - database]
            best = [min(pair) for pair in zip(best, spent, strict=True)]
    return [1000 * seconds / MANY for seconds in best]


def _make_rule(fleet: str, kind: RuleKind, opens: float, metric: str) -> SeriesRule:
    return SeriesRule(
        fleet_id=fleet, rule_id="tested", version=1, metric=metric, kind=kind, open=opens, clear=opens, breaches=2, of=3
    )
