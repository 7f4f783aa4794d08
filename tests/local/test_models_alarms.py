"""The model of CloudWatch's alarms, over the definitions in the templates: what sets each kind on and off again."""

import os
from pathlib import Path
from typing import Any

# Before anything starts the CDK: it would validate the templates for seconds.
os.environ["CDK_VALIDATION"] = "false"

import pytest

from infra.profiles import PROFILES
from local.models import config
from local.models.alarms import Alarms
from local.models.expressions import Expression, UnknownExpressionError
from local.models.metric_log import MetricLog
from local.models.outages import Change
from local.overrides import MINUTE_SECONDS
from local.resources import resolve
from local.resources.configure import alarms, event_source
from local.template import Assembly, TemplateError
from sluice.core import metrics
from sluice.core.consumers import AGGREGATE, ARCHIVE, DETECT
from sluice.core.metrics import Metric
from tests.infra.templates import synthesize
from tests.local.test_resources import changed, services

PREFIX = "sluice-proof-"
START = 1_800_000_000.0
MINUTE = MINUTE_SECONDS
assert START % MINUTE == 0


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    directory = tmp_path_factory.mktemp("cdk")
    synthesize("test", directory)
    return Assembly.load(directory)


class World:
    """A stack's directory, in which functions and models write metrics at chosen minutes."""

    def __init__(self, assembly: Assembly, directory: Path) -> None:
        self.plan = resolve(assembly, services(directory / "state"))
        self.config = alarms(self.plan)
        models = directory / "state" / "models"
        models.mkdir(parents=True)
        config.write(self.config, models / "alarms.json")
        self._directory = directory
        self._at = START
        functions = MetricLog(Path(self.config.logs[0]), "Sluice/proof", lambda: self._at)
        sources = MetricLog(Path(event_source(self.plan).metrics), "AWS/Lambda", lambda: self._at)
        self._functions, self._sources = functions, sources

    def record(self, minute: float, service: str, metric: Metric, value: float, **dimensions: str) -> None:
        """Write a value of a function's metric."""
        self._at = START + minute * MINUTE
        self._functions.write(metric.name, value, {"service": service, **dimensions})

    def count(self, minute: float, consumer: str, metric: str, events: int) -> None:
        """Write a value of an event source's metric."""
        self._at = START + minute * MINUTE
        mappings = {mapping.group: mapping.uuid for mapping in event_source(self.plan).mappings}
        self._sources.write(metric, events, {"EventSourceMappingUUID": mappings[consumer]})

    def read(self) -> Alarms:
        return Alarms.read(self._directory)

    def changes(self, alarm: str, minutes: float = 1000) -> list[tuple[float, bool]]:
        """The minutes in which an alarm went on or off."""
        found = self.read().changes(START + minutes * MINUTE)
        return [((at - START) / MINUTE, on) for at, name, on in found if name == PREFIX + alarm]


@pytest.fixture
def world(assembly: Assembly, tmp_path: Path) -> World:
    return World(assembly, tmp_path)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_every_alarm_is_evaluated_or_names_the_metrics_that_no_one_writes_here(profile: str, tmp_path: Path) -> None:
    synthesize(profile, tmp_path / "cdk")
    world = World(Assembly.load(tmp_path / "cdk"), tmp_path)
    read = world.read()
    names = {alarm.name for alarm in world.config.alarms}
    assert read.known | set(read.unknown) == names
    assert not read.known & set(read.unknown)
    own = {one.name for one in world.config.alarms if all("Sluice/" in metric.namespace for metric in one.metrics)}
    sources = {
        PREFIX + f"{each}-{alarm}" for each in (ARCHIVE.name, AGGREGATE.name, DETECT.name) for alarm in ("set-aside",)
    }
    sources |= {PREFIX + f"{each}-{alarm}" for each in event_source_groups(world) for alarm in ("retrying", "dropped")}
    assert read.known == own | sources
    assert read.unknown[PREFIX + "ingest-errors"] == ["AWS/Lambda Errors"]
    assert set(read.unknown[PREFIX + "stream-disk"]) == {"AWS/Kafka KafkaDataLogsDiskUsed"}


def event_source_groups(world: World) -> list[str]:
    return [mapping.group for mapping in event_source(world.plan).mappings]


def test_given_up_records_set_off_the_alarm_of_their_consumer_alone_for_five_minutes(world: World) -> None:
    world.count(2.5, "aggregate", "OnFailureDestinationDeliveredEventCount", 40)
    assert world.changes("aggregate-set-aside") == [(3, True), (8, False)]
    assert world.changes("archive-set-aside") == []
    read = world.read()
    named = {PREFIX + "aggregate-set-aside"}
    assert read.on(START + 2.9 * MINUTE) == set()
    assert read.on(START + 4 * MINUTE) & named == named
    assert read.on(START + 9 * MINUTE) & named == set()
    assert read.on_since(START + 5 * MINUTE, START + 9 * MINUTE) & named == named
    assert read.on_since(START + 8 * MINUTE, START + 9 * MINUTE) & named == set()


def test_an_alarm_that_looks_at_two_periods_needs_both_of_them(world: World) -> None:
    world.count(1.5, "aggregate", "FailedInvokeEventCount", 1)
    world.count(20.5, "aggregate", "FailedInvokeEventCount", 1)
    assert world.changes("aggregate-retrying") == []
    world.count(25.5, "aggregate", "FailedInvokeEventCount", 1)
    assert world.changes("aggregate-retrying") == [(26, True), (31, False)]


def test_a_gauge_that_breaches_five_minutes_in_a_row_is_on_and_stays_so_while_nothing_is_known(world: World) -> None:
    for minute, level in enumerate([0, 1, 1, 1, 1, 2, 2]):
        world.record(minute + 0.5, "pressure", metrics.PRESSURE_LEVEL, level)
    for minute in range(30, 36):
        world.record(minute + 0.5, "pressure", metrics.PRESSURE_LEVEL, 0)
    # One value that does not breach is enough to end it.
    assert world.changes("pressure-level") == [(6, True), (31, False)]


def test_a_gauge_that_says_nothing_more_before_it_breached_for_long_enough_stays_off(world: World) -> None:
    for minute in range(4):
        world.record(minute + 0.5, "pressure", metrics.PRESSURE_LEVEL, 2)
    assert world.changes("pressure-level") == []


def test_a_metric_that_must_be_written_is_on_without_values_and_above_its_bound(world: World) -> None:
    for minute in range(40):
        age = 901 if minute == 20 else 900
        world.record(minute + 0.5, "salvage", metrics.PENDING_AGE, age)
    # Off while a quarter of an hour has values, none above the bound: 21 to 35 have the one above it.
    assert world.changes("salvage-waiting") == [(21, True), (36, False), (55, True)]


def test_a_share_needs_events_and_counts_that_are_not_written_are_none(world: World) -> None:
    for minute in range(5):
        world.record(minute + 0.5, "ingest", metrics.EVENTS_TO_RETRY, 1)
    for minute in range(10, 15):
        world.record(minute + 0.5, "ingest", metrics.EVENTS_ACCEPTED, 99)
        world.record(minute + 0.5, "ingest", metrics.EVENTS_TO_RETRY, 1)
    for minute in range(20, 25):
        world.record(minute + 0.5, "ingest", metrics.EVENTS_ACCEPTED, 97)
        world.record(minute + 0.5, "ingest", metrics.EVENTS_TO_RETRY, 2)
    # All, then exactly one percent, then more.
    assert world.changes("ingest-unstored") == [(5, True), (6, False), (25, True), (26, False)]


@pytest.mark.parametrize(
    ("requests", "events", "fires"), [(36_001, 7.9, True), (36_001, 8.0, False), (36_000, 1, False)]
)
def test_the_size_of_requests_counts_once_there_are_many(
    world: World, requests: int, events: float, fires: bool
) -> None:
    file = Path(world.config.logs[0])
    world.record(0.5, "ingest", metrics.EVENTS_ACCEPTED, events)
    file.write_bytes(file.read_bytes() * requests)
    assert bool(world.changes("ingest-small-requests", minutes=3)) == fires


def test_only_the_function_that_an_alarm_names_sets_it_off(world: World) -> None:
    for minute in range(10):
        world.record(minute + 0.5, "archive", metrics.REFUSED_FOR_PRESSURE, 5)
        world.record(minute + 0.5, "ingest", metrics.REFUSED_FOR_PRESSURE, 5, fleet="demo")
    assert world.changes("ingest-refusing") == []


def test_lines_that_are_no_metrics_and_one_that_is_still_written_are_passed_over(world: World) -> None:
    world.count(2.5, "aggregate", "OnFailureDestinationDeliveredEventCount", 1)
    log = Path(world.config.logs[0])
    log.write_bytes(b'a text\n{"level":"INFO"}\n{"_aws":{"Timestamp":17')
    assert world.changes("aggregate-set-aside") == [(3, True), (8, False)]


def test_nothing_is_on_where_nothing_was_written(world: World) -> None:
    assert world.read().changes(START) == []


def test_changes_come_in_their_order(world: World) -> None:
    world.count(4.5, "archive", "DroppedEventCount", 1)
    world.count(2.5, "aggregate", "DroppedEventCount", 1)
    named = {PREFIX + "archive-dropped", PREFIX + "aggregate-dropped"}
    found = [change for change in world.read().changes(START + 6 * MINUTE) if change.alarm in named]
    assert found == [
        Change(START + 3 * MINUTE, PREFIX + "aggregate-dropped", True),
        Change(START + 5 * MINUTE, PREFIX + "archive-dropped", True),
    ]


def query(expression: str, statistic: str = "Sum", period: int = 60) -> dict[str, Any]:
    """What an alarm on an expression over a metric of ours has, beside what all have."""
    metric = {"Namespace": "Sluice/proof", "MetricName": "EventsLate", "Dimensions": []}
    measured = {"Id": "late", "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}}
    other = {"Id": "other", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    return {"Metrics": [{"Id": "e", "Expression": expression}, measured, other]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ComparisonOperator": "LessThanThreshold"}, "LessThanThreshold"),
        ({"TreatMissingData": "missing"}, "missing"),
        (query("ANOMALY_DETECTION_BAND(late)"), "ANOMALY_DETECTION_BAND"),
        (query("late + never_named"), "never_named"),
        (query("late >= other"), ">="),
        (query("late", statistic="p90"), "p90"),
        (query("late", period=300), "one period"),
    ],
)
def test_what_the_model_cannot_do_stops_the_start_with_its_name(
    assembly: Assembly, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    plan = resolve(changed(assembly, "AWS::CloudWatch::Alarm", change), services(tmp_path))
    with pytest.raises(TemplateError, match=said):
        alarms(plan)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("100 * a / b", (1, 4), 25),
        ("100 * a / b", (1, 0), None),
        ("100 * a / b", (None, 4), None),
        ("a - b + 1", (5, 2), 4),
        ("FILL(a, 0) + b", (None, 2), 2),
        ("FILL(a, 0) + b", (1, None), None),
        ("a < 1", (0, None), 1),
        ("a < 1", (1, None), 0),
        ("IF(a > 3, 10 / b, 0)", (4, 5), 2),
        ("IF(a > 3, 10 / b, 0)", (3, None), 0),
        ("IF(a > 3, 10 / b, 0)", (None, 5), None),
        ("MAX([a, b])", (1, 7), 7),
        ("MAX([a, b])", (1, None), 1),
        ("MAX([a, b])", (None, None), None),
    ],
)
def test_an_expression_has_a_value_where_what_it_needs_has_one(
    text: str, values: tuple[float | None, float | None], expected: float | None
) -> None:
    names = ("a", "b")
    assert Expression(text, names).compute(dict(zip(names, values, strict=True))) == expected


@pytest.mark.parametrize(
    "text", ["a +", "a; b", "a.b", "'a'", "FILL(a, REPEAT)", "MIN([a])", "IF(a, b)", "a ** 2", "c"]
)
def test_an_expression_of_another_kind_is_refused_whole(text: str) -> None:
    with pytest.raises(UnknownExpressionError):
        Expression(text, ("a", "b"))
