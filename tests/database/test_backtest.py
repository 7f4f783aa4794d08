"""Backtests on a real database and real files: what is stored of devices, as the function's own role reads it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from bench import planted
from sluice.core.backtest.pace import Bounds
from sluice.core.backtest.results import Result
from sluice.core.backtest.windows import minute_of, moment_of
from sluice.core.detect.defaults import SILENCE_METRIC, default_rules_for
from sluice.core.detect.series_rules import SeriesRule
from sluice.edge.backtest.backtesting import Backtesting, BacktestReport, Plan
from sluice.edge.backtest.devices import list_devices
from sluice.edge.backtest.tables import MOST_TRIES, MOST_TYPES_WAIT, PATIENCE, REST, BacktestTables
from sluice.edge.rollup_archive.database import TierDatabase
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.rollup_archive.recalling import Recaller
from sluice.edge.rollup_archive.tiering import Plan as TierPlan
from sluice.edge.rollup_archive.tiering import Tiering
from sluice.edge.rollups.maintenance import Maintenance
from tests.database.replaying import connect_as
from tests.local.emulation import emulated_aws
from tests.support.backtests import BOOK, DAY, MINUTE, START, backtest, make_history, make_rule

if TYPE_CHECKING:
    from sluice.core.rollup_archive.files import TieredResolution

BUCKET = "rollups"
HOUR = timedelta(hours=1)
NOW = START + 4 * DAY
LEASE = timedelta(minutes=6)
Values = Mapping[int, Sequence[float]]
"""The readings of each minute, counted from 1970."""

_FILL = """
    COPY {store} (
        entity_key, window_start, metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins, bin_counts
    ) FROM STDIN
"""


class Place:
    """A database, a bucket and the function's side of both."""

    def __init__(self, dsn: str, s3: Any) -> None:
        self.dsn, self.s3 = dsn, s3
        self.owner: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)
        self.own = connect_as(dsn, "backtest")
        self.tables = BacktestTables(self.own, LEASE)

    def close(self) -> None:
        self.owner.close()
        self.own.close()

    def add_metric(self, name: str) -> None:
        self.owner.execute("INSERT INTO metric (name, unit, resolution) VALUES (%s, 'degC', 0.1)", [name])

    def add_device(self, fleet: str, device: str | None, since: datetime) -> None:
        self.owner.execute(
            "INSERT INTO entity (fleet_id, device_id, shard, first_seen_at) VALUES (%s, %s, 0, %s)",
            [fleet, device, since],
        )

    def fill(self, store: str, fleet: str, device: str, values: Values) -> None:
        """Store windows, by the minutes at which they begin."""
        first, last = moment_of(min(values)), moment_of(max(values))
        self.owner.execute("SELECT ensure_partitions(%s, %s, %s)", [store, first, last])
        (key,) = self._one("SELECT entity_key FROM entity WHERE fleet_id = %s AND device_id = %s", fleet, device)
        (metric,) = self._one("SELECT max(metric_key) FROM metric")
        with self.owner.cursor() as cursor, cursor.copy(_FILL.format(store=store)) as copy:
            for minute, readings in values.items():
                bins: dict[int, int] = {}
                for reading in readings:
                    bins[round(reading / 0.1)] = bins.get(round(reading / 0.1), 0) + 1
                low, high, mean = min(readings), max(readings), fmean(readings)
                copy.write_row(
                    (
                        key,
                        moment_of(minute),
                        [metric],
                        [len(readings)],
                        [mean],
                        [len(readings) * pstdev(readings) ** 2],
                        [sum(readings)],
                        [low],
                        [high],
                        [mean],
                        [high],
                        [(metric << 32) + 2**31 + number for number in sorted(bins)],
                        [bins[number] for number in sorted(bins)],
                    )
                )

    def ask(self, rule: SeriesRule | str, days: int = 4, promised: int | None = None) -> int:
        text = rule if isinstance(rule, str) else msgspec.json.encode(rule).decode()
        (number,) = self._one(
            "INSERT INTO backtest (fleet_id, rule_id, promised_version, rule, days, principal, asked_at)"
            " VALUES ('fleet-1', %s, %s, %s, %s, 'someone', %s) RETURNING backtest_number",
            rule.rule_id if isinstance(rule, SeriesRule) else "other",
            promised,
            text,
            days,
            NOW,
        )
        return int(number)

    def close_minutes(self, until: datetime) -> None:
        self.owner.execute("UPDATE shard SET closed_until = %s", [until])

    def move(self) -> None:
        """Move all days but the last two to files, and drop them from the database."""
        hot: dict[TieredResolution, timedelta] = {"1m": 2 * DAY, "1h": 90 * DAY}
        plan = TierPlan(hot=hot, kept=730 * DAY, slice_windows=360, chunk=20_000, max_file=20_000)
        self.owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [NOW])
        with closing(psycopg.connect(make_conninfo(self.dsn, user="sluice_tier"), autocommit=True)) as connection:
            for _ in range(2):
                Tiering(TierDatabase(connection), RollupFiles(self.s3, BUCKET), plan).run(NOW, lambda: True)

    def run(self, book: Any = BOOK, **bounds: Any) -> BacktestReport:
        plan = Plan(Bounds(**{"seconds": 60, "windows": 10**9} | bounds), 5 * MINUTE, 7 * DAY, 7 * DAY)
        work = Backtesting(Recaller(self.s3, BUCKET), book, plan, lambda: NOW)
        return work.run(self.own, self.tables, lambda: True)

    def result(self, number: int) -> Result:
        state, text = self._one("SELECT state, result::text FROM backtest WHERE backtest_number = %s", number)
        assert state == "done"
        return msgspec.json.decode(text, type=Result)

    def read(self, number: int) -> tuple[Any, ...]:
        return self._one("SELECT state, tries, trouble FROM backtest WHERE backtest_number = %s", number)

    def _one(self, query: str, *given: Any) -> tuple[Any, ...]:
        row = self.owner.execute(query, given).fetchone()
        assert row is not None
        found: tuple[Any, ...] = row
        return found


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with emulated_aws() as url:
        client = boto3.client(
            "s3", "us-east-1", endpoint_url=url, aws_access_key_id="local", aws_secret_access_key="local"
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def place(database: str, s3: Any) -> Iterator[Place]:
    made = Place(database, s3)
    yield made
    made.close()


def make_days(device: int) -> list[float | None]:
    """Make a reading each five minutes of four days, with a burst on the first, the third and the last day."""
    values: list[float | None] = [None] * (4 * 1440)
    for number in range(0, len(values), 5):
        values[number] = 60.0 + number % 7
    for day in (0, 2, 3):
        first = day * 1440 + 300 + 60 * device
        values[first : first + 30 : 5] = [90.04] * 6
    return values


def store(place: Place, devices: Mapping[str, Sequence[float | None]]) -> None:
    place.add_metric("heat")
    place.add_device("fleet-1", None, START - 90 * DAY)
    for name, values in devices.items():
        place.add_device("fleet-1", name, START - 90 * DAY)
        there = {minute: [value] for minute, value in enumerate(values, minute_of(START)) if value is not None}
        place.fill("rollup_1m", "fleet-1", name, there)
    place.close_minutes(NOW)


def test_a_result_is_that_of_the_minutes_in_the_database_and_in_files_together(place: Place) -> None:
    devices = {f"press-{number}": make_days(number) for number in range(3)}
    store(place, devices)
    place.move()
    (left,) = place.owner.execute("SELECT min(window_start) FROM rollup_1m").fetchone() or (None,)
    assert left == START + 2 * DAY, "the first days are in files"
    number = place.ask(make_rule())
    report = place.run()
    assert (report.done, report.failed, report.defect) == (1, 0, None)
    result = place.result(number)
    expected = backtest(make_rule(), [make_history(values, name) for name, values in devices.items()], NOW)
    assert len(expected) == 9
    assert [(each.opened_at, each.resolved_at, each.device_ids, each.value) for each in result.first_incidents] == [
        (one.incident.opened_at, one.incident.resolved_at, one.incident.examples, one.value) for one in expected
    ]
    assert result.first_incidents[0].why == "90.04 degC is above the threshold of 80 degC"
    assert (result.since, result.until, result.incidents, result.exact, result.cut) == (START, NOW, 9, True, "")
    assert (result.devices, result.rule_devices, result.device_days) == (3, 3, 12)
    assert result.windows == 3 * 4 * 288
    assert place.read(number) == ("done", 1, "")


def test_a_bound_makes_it_of_fewer_devices_always_the_same_ones(place: Place) -> None:
    store(place, {f"press-{number}": make_days(number) for number in range(8)})
    numbers = [place.ask(make_rule(), days=1) for _ in range(2)]
    place.run(windows=1440)
    first, again = map(place.result, numbers)
    assert first == again
    assert (first.cut, first.rule_devices) == ("windows", 8)
    assert 0 < first.devices < 8


def fill_planted(place: Place, device: str, values: Sequence[float | None]) -> None:
    """Store a made-up series: the hours of seven days, and the minutes of the last two."""
    place.add_device("made", device, planted.START - 90 * DAY)
    first = minute_of(planted.START)
    there = {first + number: [value] for number, value in enumerate(values) if value is not None}
    hours: dict[int, list[float]] = {}
    for minute, readings in there.items():
        hours.setdefault(minute - (minute - first) % 60, []).extend(readings)
    place.fill("rollup_1h", "made", device, hours)
    place.fill("rollup_1m", "made", device, {at: each for at, each in there.items() if at >= first + 6 * 1440})


def test_rules_that_learn_find_what_they_find_in_memory(place: Place) -> None:
    faults = {name: planted.make_series(0, name)[0] for name in ("spike", "level", "stuck", "dropout")}
    weeks = {name: planted.learn_week(values) for name, values in faults.items()}
    place.add_metric("made")
    for name, values in faults.items():
        fill_planted(place, name, values)
    place.close_minutes(planted.START + 8 * DAY)
    rules = [rule for metric in ("made", SILENCE_METRIC) for rule in default_rules_for("made", metric)]
    deviations = replace(rules[0], kind="baseline", open=4.0, clear=2.0, rule_id="baseline")
    rules += [deviations, replace(deviations, kind="zscore", rule_id="zscore")]
    numbers = [place.ask(rule, days=1) for rule in rules]
    place.owner.execute("UPDATE backtest SET fleet_id = 'made'")
    assert place.run(planted.BOOK).defect is None
    for rule, number in zip(rules, numbers, strict=True):
        histories = [
            replace(planted.make_history(values, weeks[name], rule), device_id=name) for name, values in faults.items()
        ]
        expected = backtest(rule, histories, planted.START + 8 * DAY, planted.START + 7 * DAY, planted.BOOK)
        assert expected, rule.rule_id
        found = [(each.opened_at, each.resolved_at, each.device_ids) for each in place.result(number).first_incidents]
        assert found == [
            (one.incident.opened_at, one.incident.resolved_at, one.incident.examples) for one in expected
        ], rule.rule_id


def test_each_backtest_is_claimed_once_and_the_oldest_first(place: Place) -> None:
    promise, asked, later = place.ask(make_rule(), promised=1), place.ask(make_rule()), place.ask(make_rule())
    claimed = [place.tables.claim(NOW) for _ in range(4)]
    assert [one and one.number for one in claimed] == [promise, asked, later, None]
    first = claimed[0]
    assert first is not None
    assert (first.days, first.tries, first.read_rule()) == (4, 1, make_rule())


def test_a_run_that_died_loses_its_claim_and_stores_nothing_any_more(place: Place) -> None:
    number = place.ask(make_rule())
    died = place.tables.claim(NOW)
    assert died is not None
    assert place.tables.note_progress(died, 5, 20, NOW + LEASE)
    # It was heard of: the claim holds for as long again.
    assert place.tables.claim(NOW + LEASE + LEASE) is None
    taken = place.tables.claim(NOW + LEASE + LEASE + MINUTE)
    assert taken is not None
    assert (taken.number, taken.tries) == (number, 2)
    late = NOW + 3 * LEASE
    assert not place.tables.note_progress(died, 9, 20, late)
    assert not place.tables.fail(died, "too late", late)
    assert not place.tables.give_back(died, "too late", late)
    assert not place.tables.put_off(died, "too late", late)
    assert place.read(number) == ("running", 2, "")


def test_three_runs_that_died_are_enough(place: Place) -> None:
    number, now = place.ask(make_rule()), NOW
    for _ in range(MOST_TRIES):
        assert place.tables.give_up_dead(now) == 0
        assert place.tables.claim(now) is not None
        now += LEASE + MINUTE
    assert place.tables.claim(now) is None
    assert place.tables.give_up_dead(now) == 1
    assert place.read(number) == ("failed", 3, "It was started 3 times, and no run finished it.")


def test_one_that_failed_three_times_says_why_at_last(place: Place) -> None:
    number, now = place.ask(make_rule()), NOW
    for _ in range(MOST_TRIES):
        asked = place.tables.claim(now)
        assert asked is not None
        place.tables.give_back(asked, "ValueError: 47", now)
        assert place.tables.claim(now + REST - MINUTE) is None
        now += REST
    assert place.tables.give_up_dead(now) == 1
    assert place.read(number) == (
        "failed",
        3,
        "It was started 3 times, and no run finished it. ValueError: 47",
    )


def test_while_a_store_is_away_others_have_their_turn_and_no_try_is_lost(place: Place) -> None:
    number, other = place.ask(make_rule()), place.ask(make_rule())
    for tries in range(2 * MOST_TRIES):
        now = NOW + tries * REST
        asked = place.tables.claim(now)
        assert asked is not None
        assert (asked.number, asked.tries) == (number, 1)
        place.tables.put_off(asked, "S3 does not answer", now)
        assert place.read(number) == ("waiting", 0, "S3 does not answer")
    following = place.tables.claim(now)
    assert following is not None
    assert following.number == other
    place.tables.fail(following, "no", now)
    # A day later the trouble counts.
    now = NOW + PATIENCE
    for _ in range(MOST_TRIES):
        asked = place.tables.claim(now)
        assert asked is not None
        place.tables.put_off(asked, "S3 does not answer", now)
        now += REST
    assert place.tables.give_up_dead(now) == 1


def test_a_rule_for_a_type_waits_for_the_types_of_its_fleet(place: Place) -> None:
    add_fleet(place)
    typed = make_rule(device_type="lathe")
    save_rule(place, typed)
    number = place.ask(typed, promised=1)
    # In an hour the types are read, or the directory is away: then the type of the fleet counts.
    assert place.tables.claim(NOW + MOST_TYPES_WAIT - MINUTE) is None
    late = place.tables.claim(NOW + MOST_TYPES_WAIT)
    assert late is not None
    place.owner.execute("UPDATE backtest SET state = 'waiting', claimed_at = NULL, tries = 0")
    place.owner.execute("INSERT INTO device_types_read (fleet_id, wanted_at) VALUES ('fleet-1', %s)", [NOW])
    assert place.tables.claim(NOW) is None
    place.owner.execute("UPDATE device_types_read SET completed_at = %s", [NOW])
    claimed = place.tables.claim(NOW)
    assert claimed is not None
    assert claimed.number == number


def test_a_rule_for_a_type_in_a_fleet_without_such_rules_waits_for_nothing(place: Place) -> None:
    add_fleet(place)
    save_rule(place, make_rule(rule_id="all"))
    place.ask(make_rule(device_type="lathe"))
    assert place.tables.claim(NOW) is not None


def test_before_anything_is_rolled_there_is_nothing_to_test(place: Place) -> None:
    number = place.ask(make_rule())
    assert place.run().failed == 1
    state, _, trouble = place.read(number)
    assert (state, trouble) == ("failed", "Nothing is rolled yet: there are no minutes to test the rule on.")


def add_fleet(place: Place) -> None:
    place.owner.execute(
        "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second, created_at, device_type)"
        " VALUES ('fleet-1', 1, 1, now(), 'press')"
    )


def save_rule(place: Place, rule: SeriesRule) -> None:
    place.owner.execute(
        'INSERT INTO rule (fleet_id, rule_id, kind, metric, unit, device_type, device_id, open, clear, breaches, "of",'
        " severity, created_at) VALUES (%s, %s, %s, %s, 'degC', %s, %s, %s, %s, 1, 1, 'info', %s)",
        [
            rule.fleet_id,
            rule.rule_id,
            rule.kind,
            rule.metric,
            rule.device_type,
            rule.device_id,
            rule.open,
            rule.clear,
            NOW,
        ],
    )


ALL = {"a", "b", "c"}
CASES: Mapping[str, tuple[SeriesRule, Sequence[SeriesRule], set[str]]] = {
    "no other": (make_rule(), [], ALL),
    "of one device": (make_rule(device_id="b"), [], {"b"}),
    "a device has its own": (make_rule(), [make_rule(rule_id="own", device_id="a")], {"b", "c"}),
    "of another kind": (make_rule(), [make_rule(rule_id="cold", kind="below", device_id="a", clear=90.0)], ALL),
    "the type has its own": (make_rule(), [make_rule(rule_id="typed", device_type="press")], set()),
    "of the type": (make_rule(device_type="press"), [make_rule(rule_id="all")], ALL),
    "of another type": (make_rule(device_type="lathe"), [], set()),
    "a default": (default_rules_for("fleet-1", "heat")[0], [make_rule(kind="range", open=1.0, clear=1.0)], ALL),
}


def test_a_rule_is_tested_on_the_devices_that_it_would_judge(place: Place) -> None:
    add_fleet(place)
    for name in ("a", "b", "c", None):
        place.add_device("fleet-1", name, START)
    place.add_device("fleet-2", "a", START)
    for name, (tested, saved, devices) in CASES.items():
        place.owner.execute("DELETE FROM rule")
        for rule in saved:
            save_rule(place, rule)
        assert {one.device_id for one in list_devices(place.own, tested)} == devices, name


def test_old_backtests_are_deleted_but_for_the_promise_of_the_version_that_judges(place: Place) -> None:
    add_fleet(place)
    save_rule(place, make_rule())
    place.owner.execute("UPDATE rule SET version = 2")
    old, current, asked = place.ask(make_rule(), promised=1), place.ask(make_rule(), promised=2), place.ask(make_rule())
    place.owner.execute("UPDATE backtest SET state = 'failed', ended_at = %s", [NOW - 91 * DAY])
    waiting = place.ask(make_rule())

    def left() -> list[int]:
        return [number for (number,) in place.owner.execute("SELECT backtest_number FROM backtest ORDER BY 1")]

    with closing(connect_as(place.dsn, "maintain")) as connection:
        maintenance = Maintenance(connection, 1)
        assert maintenance.forget_backtests(NOW - 92 * DAY) == 0
        assert maintenance.forget_backtests(NOW - 90 * DAY) == 2
        assert left() == [current, waiting]
        place.owner.execute("UPDATE rule SET archived_at = %s, version = 3", [NOW])
        assert maintenance.forget_backtests(NOW - 90 * DAY) == 1
    assert left() == [waiting]
    assert {old, asked}.isdisjoint(left())
