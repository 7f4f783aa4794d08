"""Every alarm of the templates goes on and off again with made metrics, and what fails together pages once."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping

# Before anything starts the CDK: it would validate the templates for seconds.
os.environ["CDK_VALIDATION"] = "false"

import msgspec
import pytest

from infra.watch.severity import OUTAGES, heading_of
from local.models.alarms import Alarms
from local.models.config import AlarmConfig, AlarmsConfig, MetricConfig
from local.models.outages import Change, Outages, UnknownRuleError, compile_rule
from local.resources import resolve
from local.resources.configure import alarms
from local.template import Assembly
from tests.infra.templates import synthesize
from tests.local.test_resources import services

PREFIX = "sluice-proof-"
START = 1_800_000_000.0
MINUTE = 60.0
MANY = 40_000

Values = Mapping[str, float | list[float] | None]
"""What the metrics of an alarm are, by their ids; None is no value."""

# For alarms on expressions: what keeps each off, and what sets it on. By the end of their names.
DRIVEN: dict[str, tuple[Values, Values]] = {
    "-not-run": ({"runs": 1}, {"runs": None}),
    "database-silent": ({"reports": 1}, {"reports": None}),
    "database-storage": ({"free": 400 * 2**30}, {"free": 2**30}),
    "api-failures": ({"failed": 1, "requests": 100}, {"failed": 2, "requests": 100}),
    "ingest-unstored": (
        {"stored": 99, "rejected": None, "unstored": 1},
        {"stored": 90, "rejected": 5, "unstored": 5},
    ),
    "ingest-small-requests": (
        {"requests": [30.0] * MANY, "size": [30.0] * MANY},
        {"requests": [7.0] * MANY, "size": [7.0] * MANY},
    ),
    "-quota": ({"taken": 300 * 79, "quota": 100}, {"taken": 300 * 81, "quota": 100}),
    "seek-scans": (
        {"answered": 1000 * 2**30, "canceled": None, "cancelled": None},
        {"answered": 1500 * 2**30, "canceled": None, "cancelled": 600 * 2**30},
    ),
    "slo-unseen": (
        {"requests": 5000, "ingest": 4600, "query": None, "trace": None, "show": None, "admin": None},
        {"requests": 5000, "ingest": 4000, "query": 300, "trace": 10, "show": 10, "admin": 10},
    ),
    "-3d": (
        {"stored": 10_000, "unstored": 5, "runs": 10_000, "errors": 5, "failed": 50, "requests": 60_000},
        {"stored": 10_000, "unstored": 15, "runs": 10_000, "errors": 1, "failed": 150, "requests": 60_000},
    ),
    "slo-": (
        {"stored": 1000, "unstored": 5, "runs": 1000, "errors": 5, "failed": 20, "requests": 10_000},
        {"stored": 1000, "unstored": 5, "runs": 1000, "errors": 20, "failed": 200, "requests": 10_000},
    ),
    "stream-disk": ({"broker1": 60, "broker2": 10}, {"broker1": 60, "broker2": 71}),
    "stream-cpu": ({"broker1": 41, "broker2": 90}, {"broker1": 39, "broker2": 90}),
}


@pytest.fixture(scope="module", params=["baseline", "large"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AlarmsConfig:
    """The alarms of a profile, of which each minute lasts a minute."""
    directory = tmp_path_factory.mktemp(request.param)
    synthesize(request.param, directory / "cdk")
    config = alarms(resolve(Assembly.load(directory / "cdk"), services(directory / "state")))
    return msgspec.structs.replace(config, minute_seconds=MINUTE, logs=[])


def short(name: str) -> str:
    return name.removeprefix(PREFIX)


def phases(alarm: AlarmConfig) -> tuple[Values, Values]:
    """What keeps an alarm off, and what sets it on."""
    name = heading_of(short(alarm.name))
    for ending, found in DRIVEN.items():
        if name.endswith(ending) or (ending.endswith("-") and name.startswith(ending)):
            return found
    (metric,) = alarm.metrics
    assert alarm.expression == metric.id, f"{name}: say in DRIVEN what sets it on"
    return {metric.id: alarm.above}, {metric.id: alarm.above + 1}


def line(metric: MetricConfig, minute: float, value: float | list[float]) -> bytes:
    """A line of a log with one metric."""
    described = {
        "Namespace": metric.namespace,
        "Dimensions": [[*metric.dimensions]],
        "Metrics": [{"Name": metric.name}],
    }
    aws = {"Timestamp": int((START + minute * MINUTE) * 1000), "CloudWatchMetrics": [described]}
    values = value if isinstance(value, list) else [value]
    return json.dumps({"_aws": aws, **metric.dimensions, metric.name: values}).encode()


def written(alarm: AlarmConfig, period: float, values: Values) -> Iterator[bytes]:
    """What is written in one period of an alarm, in its middle."""
    for metric in alarm.metrics:
        if (value := values.get(metric.id)) is not None:
            yield line(metric, (period + 0.5) * metric.period_seconds / 60, value)


def test_every_alarm_goes_on_and_off_again(made: AlarmsConfig) -> None:
    assert len(made.alarms) > 150
    wrong = {}
    for alarm in made.alarms:
        off, on = phases(alarm)
        minutes = alarm.metrics[0].period_seconds // 60
        breaches, end = alarm.periods, 3 * alarm.periods + 1
        lines = [
            each
            for period in range(end)
            for each in written(alarm, period, on if breaches <= period <= 2 * breaches else off)
        ]
        # A metric that is not written meanwhile is one all the same.
        lines += [line(metric, (end + 9) * minutes, 0) for metric in alarm.metrics]
        read = Alarms(msgspec.structs.replace(made, alarms=[alarm], outages=[]), lines)
        found = [(change.at - START) / MINUTE / minutes for change in read.changes(START + end * minutes * MINUTE)]
        # On once it has breached for as long as it waits; a window holds one value, from when it is written.
        expected = [2 * breaches - 0.5, 2 * breaches + 1.5]
        fits = len(found) == 2 and all(abs(one - other) <= 1 for one, other in zip(found, expected, strict=True))
        if read.unknown or not fits:
            wrong[alarm.name] = (found, expected)
    assert wrong == {}


def scenario(made: AlarmsConfig, breaching: Iterable[str], minutes: range) -> Alarms:
    """A world in which these alarms breach within these minutes, and all else is as usual for two hours."""
    lines: list[bytes] = []
    chosen = [alarm for alarm in made.alarms if alarm.metrics[0].period_seconds <= 3600]
    wanted = set(breaching)
    assert wanted <= {heading_of(short(alarm.name)) for alarm in chosen}
    for alarm in chosen:
        off, on = phases(alarm)
        for period in range(120 * 60 // alarm.metrics[0].period_seconds):
            middle = (period + 0.5) * alarm.metrics[0].period_seconds / 60
            breaches = heading_of(short(alarm.name)) in wanted and minutes.start <= middle < minutes.stop
            lines += written(alarm, period, on if breaches else off)
    return Alarms(msgspec.structs.replace(made, alarms=chosen), lines)


def states(names: Iterable[str], *changes: tuple[float, bool]) -> list[Change]:
    return [Change(minute * MINUTE, PREFIX + name, on) for name in names for minute, on in changes]


def paged(made: AlarmsConfig, changes: list[Change], until: float = 200) -> list[tuple[float, str]]:
    outages = Outages(made.outages, MINUTE)
    return [(page.at / MINUTE, short(page.alarm)) for page in outages.pages(changes, until * MINUTE)]


@pytest.mark.parametrize("made", ["baseline"], indirect=True)
def test_a_database_that_is_away_pages_once(made: AlarmsConfig) -> None:
    signs = {
        "database-silent": (6, 60),
        "publish-errors": (2, 61),
        "roll-errors": (3, 61),
        "attend-not-run": (9, 60),
        "aggregate-late": (6, 70),
        "aggregate-retrying": (10, 62),
        "alert-retrying": (10, 62),
        "roll-behind": (5, 64),
        "slo-people-1h": (2, 100),
        "slo-people-5m": (2, 64),
        "reconcile-unaccounted": (16, 64),
    }
    changes = [each for name, (on, off) in signs.items() for each in states([name], (on, True), (off, False))]
    assert paged(made, changes) == [(3, "outage-database")]


@pytest.mark.parametrize("made", ["baseline"], indirect=True)
def test_brokers_that_are_away_page_once(made: AlarmsConfig) -> None:
    signs = {
        "slo-devices-5m": (1, 40),
        "slo-devices-1h": (1, 95),
        "pressure-errors": (3, 40),
        "stream-offline": (4, 35),
        "archive-retrying": (10, 40),
        "detect-retrying": (10, 40),
        "reconcile-unaccounted": (16, 40),
    }
    changes = [each for name, (on, off) in signs.items() for each in states([name], (on, True), (off, False))]
    assert paged(made, changes) == [(3, "outage-brokers")]


@pytest.mark.parametrize("made", ["baseline"], indirect=True)
def test_what_outlasts_its_cause_pages_some_minutes_later(made: AlarmsConfig) -> None:
    cause = states(["database-silent"], (1, True), (30, False))
    outlasting = states(["aggregate-quarantine"], (10, True))
    assert paged(made, cause + outlasting) == [(1, "outage-database"), (60, "outage-numbers")]
    ended = [*outlasting, *states(["aggregate-quarantine"], (59, False))]
    assert paged(made, cause + ended) == [(1, "outage-database")]


@pytest.mark.parametrize("made", ["baseline"], indirect=True)
def test_two_outages_that_have_nothing_to_do_with_each_other_page_twice(made: AlarmsConfig) -> None:
    changes = states(["database-silent"], (1, True)) + states(["slo-devices-1h", "slo-devices-5m"], (20, True))
    assert paged(made, changes) == [(1, "outage-database"), (25, "outage-devices")]


@pytest.mark.parametrize("made", ["baseline"], indirect=True)
def test_a_disk_that_fills_up_keeps_no_other_outage_from_paging(made: AlarmsConfig) -> None:
    full = states(["stream-disk"], (1, True)) + states(["pressure-level"], (5, True))
    failing = states(["slo-devices-1h", "slo-devices-5m"], (50, True)) + states(["aggregate-quarantine"], (60, True))
    assert paged(made, full + failing) == [(1, "outage-full"), (55, "outage-devices"), (65, "outage-numbers")]


@pytest.mark.parametrize("made", ["baseline"], indirect=True)
@pytest.mark.parametrize("outage", [outage for outage in OUTAGES if outage.pages], ids=lambda outage: outage.name)
def test_each_sign_of_an_outage_pages_and_its_parts_do_not(made: AlarmsConfig, outage: object) -> None:
    (found,) = [each for each in OUTAGES if each is outage]
    for sign in found.signs:
        names = (sign,) if isinstance(sign, str) else sign
        changes = states(names, (10, True), (60, False))
        assert paged(made, changes) == [(15 if found.cause else 10, found.name)], sign
        outages = Outages(made.outages, MINUTE).changes(changes)
        assert [change.on for change in outages if short(change.alarm) == found.name] == [True, False]
        assert len(names) == 1 or paged(made, states(names[:1], (10, True))) == []


@pytest.mark.parametrize("made", ["baseline"], indirect=True)
def test_metrics_of_a_database_that_is_away_page_once(made: AlarmsConfig) -> None:
    away = ("database-silent", "publish-errors", "roll-errors", "aggregate-late", "aggregate-retrying", "roll-behind")
    read = scenario(made, away, range(20, 60))
    # In the first minutes nothing is known yet.
    since, now = START + 10 * MINUTE, START + 115 * MINUTE
    assert [short(page.alarm) for page in read.pages(now) if page.at > since] == ["outage-database"]
    ended = [short(change.alarm) for change in read.outages(now) if change.at > since and not change.on]
    assert set(ended) == {"outage-database", "outage-stores", "outage-numbers"}


@pytest.mark.parametrize("text", ['NOT ALARM("a")', 'OK("a")', "ALARM(a)", 'ALARM("a") XOR ALARM("b")', ""])
def test_a_rule_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(UnknownRuleError):
        compile_rule(text)


def test_a_rule_holds_where_its_parts_do() -> None:
    rule, names = compile_rule('ALARM("a") OR (ALARM("b") AND ALARM("c"))')
    assert names == {"a", "b", "c"}
    assert [rule(on) for on in ({"a"}, {"b"}, {"b", "c"}, set())] == [True, False, True, False]
