"""A run of pressure measures once, publishes what follows, and fails where it cannot tell."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from functions.pressure import handler
from functions.pressure.handler import watch
from sluice.core.consumers import ACCOUNTED
from sluice.core.errors import Retryable
from sluice.edge.cache import CacheAwayError
from sluice.edge.ingest.gauge import LONGEST, Gauge
from sluice.edge.ingest.pressure import Snapshots
from sluice.edge.metrics import metrics
from sluice.edge.retry import Retry
from tests.support.samples import NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluice.edge.cache import Cache
    from sluice.edge.ingest.disks import Disks
    from sluice.edge.topic_offsets import TopicOffsets

HOUR = 3600.0
BUFFER_SECONDS = 4 * HOUR
CONSUMERS = [consumer.name for consumer in ACCOUNTED]
SNAPSHOT_SECONDS, HOLD_SECONDS = 180, 30


class Disk:
    """CloudWatch's values of the disks; None: no data."""

    def __init__(self) -> None:
        self.percent: float | None = 10.0

    def ask(self, _now: datetime) -> float:
        if self.percent is None:
            raise Retryable("CloudWatch is away")
        return self.percent


class Reader:
    """A consumer of a topic of one partition, in which there is a record each minute."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.behind = 0.0
        """By so many seconds."""

    @property
    def last(self) -> int:
        return int((self._world.now - NOW).total_seconds() // 60) + 10_000

    def ask_unread(self) -> dict[int, int]:
        if self._world.silent > 0:
            self._world.silent -= 1
            raise Retryable("the brokers are away")
        return {0: self.last - int(self.behind // 60)} if self.behind else {}

    def ask_since(self, moment: datetime, partitions: Iterable[int]) -> dict[int, int]:
        age = (self._world.now - moment).total_seconds()
        return dict.fromkeys(partitions, max(0, self.last - int(age // 60)))


class World:
    """Two consumers, a disk and a cache."""

    def __init__(self) -> None:
        self.now = NOW
        self.readers = {consumer: Reader(self) for consumer in CONSUMERS}
        self.silent = 0
        """How many questions in a row the brokers leave open."""
        self.disk = Disk()
        self.published: dict[str, bytes] = {}
        self.away = False
        self.slept = 0.0

    def get(self, name: str) -> bytes | None:
        if self.away:
            raise CacheAwayError("away")
        return self.published.get(name)

    def put(self, name: str, value: bytes, seconds: int) -> None:
        if self.away:
            raise CacheAwayError("away")
        assert seconds == SNAPSHOT_SECONDS
        self.published[name] = value

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def run(self) -> float:
        """Run once, and say which share is published."""
        gauge = Gauge(
            cast("Mapping[str, TopicOffsets]", self.readers),
            cast("Disks", self.disk),
            BUFFER_SECONDS,
            Retry(HOLD_SECONDS, lambda: self.slept, self.sleep),
            lambda: self.now,
            handler.logger,
        )
        watch(gauge, Snapshots(cast("Cache", self)), SNAPSHOT_SECONDS)
        return float(json.loads(self.published["pressure"])["share"])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose metrics they are."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "pressure")


def said() -> dict[str, float]:
    """The metrics of the run."""
    return {name: sum(metric["Value"]) for name, metric in metrics.metric_set.items()}


def told_waits(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """The wait of each consumer, from the lines of the run."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "OldestUnreadSeconds" in line]
    assert {line["service"] for line in lines} == {"pressure"}
    return {line["consumer"]: line["OldestUnreadSeconds"][0] for line in lines}


@pytest.fixture
def world() -> World:
    return World()


def test_raws_store_that_is_down_for_an_hour_refuses_nothing_and_one_that_is_for_three_does(world: World) -> None:
    shares = []
    for hours in (0, 1, 1.9, 2.5, 3):
        world.readers["archive"].behind = hours * HOUR + 240
        shares.append(world.run())
    assert shares[:3] == [0, 0, 0]
    assert 0.3 < shares[3] < 0.6
    assert shares[4] == 1


@pytest.mark.parametrize("hours", [1, 3, 5, 30])
def test_a_database_that_is_down_for_any_time_refuses_nothing_and_its_wait_is_reported_all_the_same(
    world: World, hours: float, capsys: pytest.CaptureFixture[str]
) -> None:
    world.readers["aggregate"].behind = hours * HOUR
    assert world.run() == 0
    assert (said()["BufferUsed"], said()["RefusedShare"], said()["PressureLevel"]) == (0, 0, 0)
    longest = LONGEST * BUFFER_SECONDS
    assert told_waits(capsys)["aggregate"] == pytest.approx(min(hours * HOUR, longest), abs=300)


def test_a_database_that_is_down_hides_no_backlog_of_archive(world: World) -> None:
    world.readers["aggregate"].behind, world.readers["archive"].behind = 6 * HOUR, 2.5 * HOUR
    assert 0.3 < world.run() < 0.6


def test_it_recovers_by_itself_from_further_down(world: World) -> None:
    world.readers["archive"].behind = 2.5 * HOUR
    high = world.run()
    world.readers["archive"].behind = 2.2 * HOUR
    assert world.run() == high
    world.readers["archive"].behind = 1.9 * HOUR
    assert 0 < world.run() < high
    world.readers["archive"].behind = HOUR
    assert world.run() == 0


def test_the_disk_alone_is_reason_enough(world: World) -> None:
    world.disk.percent = 95
    assert world.run() == 1
    assert said()["PressureLevel"] == 2


def test_what_was_published_before_is_all_that_is_remembered(world: World) -> None:
    world.readers["archive"].behind = 2.5 * HOUR
    world.run()
    world.readers["archive"].behind = 1.9 * HOUR
    world.published = {"pressure": b"\xff no snapshot"}
    assert world.run() == 0


def test_what_is_published_says_until_when_it_holds(world: World) -> None:
    world.run()
    snapshot = json.loads(world.published["pressure"])
    assert snapshot["version"] == 1
    until, measured_at = (datetime.fromisoformat(snapshot[name]) for name in ("until", "measured_at"))
    assert until - measured_at == timedelta(seconds=180)


def test_an_unknown_disk_leaves_the_age_to_decide_and_is_counted(world: World) -> None:
    world.disk.percent, world.readers["archive"].behind = None, 3.5 * HOUR
    assert world.run() == 1
    assert said()["DiskUnknown"] == 1
    assert "DiskPercent" not in said()


def test_brokers_that_do_not_answer_for_a_moment_are_asked_again(world: World) -> None:
    world.silent = 3
    assert world.run() == 0


def test_brokers_that_do_not_answer_at_all_are_a_failure_and_nothing_is_published(world: World) -> None:
    world.silent = 10**6
    with pytest.raises(Retryable, match="away"):
        world.run()
    assert world.published == {}


def test_a_cache_that_is_away_is_a_failure_and_what_was_measured_is_said_all_the_same(world: World) -> None:
    world.away = True
    with pytest.raises(CacheAwayError):
        world.run()
    assert said()["BufferUsed"] == 0


def test_each_consumers_wait_is_measured_separately(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.readers["archive"].behind = HOUR
    world.run()
    waits = told_waits(capsys)
    assert waits["aggregate"] == 0
    assert HOUR - 300 < waits["archive"] <= HOUR
    assert said()["BufferUsed"] == pytest.approx(waits["archive"] / BUFFER_SECONDS)
