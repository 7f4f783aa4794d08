"""A run of learn: what it publishes and stores, in which order, and what it does while a store is away."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
import pytest

from sluice.core.detect.learned import LearnedDevice
from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import read_statistics
from sluice.core.detect.watching import name_device, name_statistics, name_watched
from sluice.core.errors import Retryable
from sluice.core.messages import Message
from sluice.edge.detect.baselines import Due
from sluice.edge.detect.learning import Learning, LearnReport
from sluice.edge.kafka_client import Delivery, Unstored
from tests.support import samples
from tests.support.played_hashes import PlayedHashes
from tests.unit.core.detect.test_judging_series import MINUTE, UNTIL, series, silent

NOW = UNTIL + timedelta(seconds=20)
EVERY = timedelta(minutes=5)


@dataclass
class World:
    """The stores around learn, and what they were given, in order."""

    devices: dict[int, list[LearnedDevice]]
    rules: Sequence[SeriesRule] = ()
    expected: dict[int, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    baselines_due: Due | None = None
    errors: dict[int, Exception] = field(default_factory=dict)
    """What reading a shard, or computing its baselines, fails with."""
    tried: list[int] = field(default_factory=list)
    brokers_away: bool = False
    types_error: Exception | None = None
    """What reading types of devices fails with."""
    hashes: PlayedHashes = field(default_factory=PlayedHashes)
    done: list[Any] = field(default_factory=list)
    typed_fleets: Collection[str] = ()
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def find_due_for_baselines(self, before: datetime, tried_before: datetime) -> Due | None:
        assert (before, tried_before) == (NOW - timedelta(days=1), NOW - timedelta(hours=1))
        return self.baselines_due

    def note_try(self, shard: int, now: datetime) -> None:
        assert now == NOW
        self.tried.append(shard)

    note_try_of_baselines = note_try

    def compute(self, due: Due, now: datetime) -> int:
        self._begin(due)
        self.done.append(("baselines", due.shard))
        assert now == NOW
        return 3

    def read_expected(self) -> dict[int, Mapping[str, Sequence[int]]]:
        return dict(self.expected)

    def find_due(self, before: datetime, most: int) -> list[Due]:
        assert before == NOW - EVERY
        return [Due(shard, UNTIL) for shard in self.devices][:most]

    def _begin(self, due: Due) -> None:
        # In a statement before the work: the note is there however the work ends.
        assert self.tried[-1] == due.shard
        if due.shard in self.errors:
            raise self.errors[due.shard]

    def read(self, due: Due) -> list[LearnedDevice]:
        self._begin(due)
        return self.devices[due.shard]

    def note_published(self, shard: int, now: datetime, expected: Mapping[str, Sequence[int]]) -> None:
        assert now == NOW
        self.done.append(("noted", shard, dict(expected)))

    def find_oldest(self) -> datetime | None:
        return NOW - timedelta(seconds=70)

    def renew(self, rows: Any, fleets: Collection[str], now: datetime, has_time: Any) -> timedelta | None:
        assert (rows, now, callable(has_time)) == (self, NOW, True)
        if self.types_error is not None:
            raise self.types_error
        self.typed_fleets = fleets
        return timedelta(hours=2) if fleets else None

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        if self.brokers_away:
            return [Unstored("the brokers are away")] * len(messages)
        self.verdicts += [json.loads(message.value) for message in messages]
        self.done.append(("told", [message.key.decode() for message in messages]))
        return [None] * len(messages)

    def run(self, shards: int = 64, runs: int = 64) -> LearnReport:
        left = iter([True] * runs)
        learning = Learning(
            lambda _: Rulebook(self.rules),
            cast("Any", self),
            samples.contracts().book,
            self.hashes.as_cache(),
            cast("Any", self),
            "alert-events",
            EVERY,
            shards,
        )
        return learning.run(cast("Any", self), cast("Any", self), NOW, lambda: next(left, False))

    def published(self, shard: int) -> set[str]:
        return set(self.hashes.hashes.get(name_statistics(shard), {}))


def named(device: LearnedDevice, name: str, fleet: str = "demo") -> LearnedDevice:
    return LearnedDevice(fleet, name, device.last_seen_at, device.series)


def usual(name: str) -> LearnedDevice:
    return LearnedDevice("demo", name, UNTIL, [series()])


def test_statistics_are_published_and_noted_and_what_is_usual_has_no_verdict() -> None:
    world = World({3: [usual("a"), usual("b")], 7: [usual("c")]}, baselines_due=Due(9, UNTIL))
    report = world.run()
    assert world.done == [("noted", 3, {"demo": (2, 0)}), ("noted", 7, {"demo": (1, 0)}), ("baselines", 9)]
    assert (world.published(3), world.published(7)) == ({"demo/a", "demo/b"}, {"demo/c"})
    found = read_statistics(world.hashes.hashes[name_statistics(3)]["demo/a"])
    assert found is not None
    assert found.computed() == UNTIL
    assert (report.shards, report.devices, report.series, report.verdicts) == (2, 3, 3, 0)
    assert (report.unpublished, report.oldest, report.asleep) == (0, timedelta(seconds=70), frozenset())


def test_verdicts_on_breaches_are_stored_before_the_shard_is_noted() -> None:
    hangs = LearnedDevice("demo", "hangs", UNTIL, [series(deviation=0.001)])
    away = LearnedDevice("demo", "away", UNTIL, [series(mean=70.0)])
    world = World({3: [hangs, away, named(silent(UNTIL - 20 * MINUTE), "silent"), usual("b")]})
    assert world.run().verdicts == 3
    assert [kind for kind, *_ in world.done] == ["told", "noted"]
    assert sorted((each["device_id"], each["rule_id"]) for each in world.verdicts) == [
        ("away", "default-level-cpu-temp"),
        ("hangs", "default-stuck-cpu-temp"),
        ("silent", "default-silence"),
    ]
    assert world.done[0][1][0] == name_device("demo", "hangs")


def test_a_watched_series_has_a_verdict_that_it_is_clear() -> None:
    world = World({3: [usual("a"), usual("b")]})
    world.hashes.hashes[name_watched(3)]["demo/b"] = b'["default-silence", "default-level-cpu-temp"]'
    world.run()
    assert sorted((each["device_id"], each["kind"], each["readings"][0][3]) for each in world.verdicts) == [
        ("b", "level", "clear"),
        ("b", "silence", "clear"),
    ]


def test_no_device_of_a_fleet_that_is_asleep_is_silent() -> None:
    there = [named(silent(UNTIL - 20 * MINUTE), f"d-{number}") for number in range(4)]
    world = World({3: there}, expected={3: {"demo": (4, 0)}, 5: {"demo": (16, 7)}})
    report = world.run()
    assert world.verdicts == []
    assert report.asleep == {"demo"}
    # One device less, and each has its verdict.
    world = World({3: there}, expected={5: {"demo": (16, 6)}})
    assert world.run().asleep == frozenset()
    assert len(world.verdicts) == 4


def test_a_rule_of_the_fleet_stands_in_place_of_the_default() -> None:
    later = SeriesRule(fleet_id="demo", rule_id="long-silence", version=2, metric="", kind="silence", open=100, clear=2)
    world = World({3: [named(silent(UNTIL - 20 * MINUTE), "silent")]}, rules=[later])
    world.run()
    assert world.verdicts == []


def test_a_run_does_a_part_of_the_shards_and_none_without_time() -> None:
    world = World({shard: [usual("a")] for shard in range(5)})
    assert world.run(shards=2).shards == 2
    assert world.run(runs=3).shards == 3
    assert world.run(runs=0).shards == 0


def test_while_the_brokers_are_away_nothing_is_published_or_noted() -> None:
    world = World({3: [named(silent(UNTIL - 20 * MINUTE), "silent")]}, brokers_away=True)
    report = world.run()
    assert (world.done, world.published(3)) == ([], set())
    assert (report.shards, report.verdicts, report.defect) == (0, 0, None)


@pytest.mark.parametrize(
    ("error", "is_defect"),
    [
        (psycopg.errors.QueryCanceled("statement timeout"), False),
        (psycopg.errors.DiskFull("the temporary files are too large"), False),
        (Retryable("a service is away"), False),
        (psycopg.errors.UndefinedColumn("no such column"), True),
        (ValueError("an array has 47 values"), True),
    ],
)
def test_a_shard_that_fails_keeps_no_other_from_its_turn(error: Exception, is_defect: bool) -> None:
    world = World({shard: [usual("a")] for shard in (3, 4, 7)}, baselines_due=Due(9, UNTIL), errors={3: error})
    report = world.run()
    assert world.done == [("noted", 4, {"demo": (1, 0)}), ("noted", 7, {"demo": (1, 0)}), ("baselines", 9)]
    assert world.tried == [3, 4, 7, 9]
    assert (report.shards, report.series, report.oldest) == (2, 3, timedelta(seconds=70))
    assert report.defect is (error if is_defect else None)


def test_baselines_that_cannot_be_computed_end_no_run() -> None:
    world = World({3: [usual("a")]}, baselines_due=Due(9, UNTIL), errors={9: psycopg.errors.QueryCanceled("too long")})
    report = world.run()
    assert world.tried == [3, 9]
    assert (report.shards, report.series, report.oldest) == (1, 0, timedelta(seconds=70))


def test_while_the_cache_is_away_breaches_have_verdicts_and_the_run_says_what_is_unpublished() -> None:
    world = World({3: [named(silent(UNTIL - 20 * MINUTE), "silent")]})
    world.hashes.away = True
    report = world.run()
    assert (report.unpublished, report.verdicts) == (1, 1)


def test_a_device_with_a_type_of_its_own_is_judged_by_the_rule_of_that_type() -> None:
    hour: dict[str, Any] = {
        "fleet_id": "demo",
        "version": 1,
        "metric": "cpu_temp",
        "kind": "level",
        "clear": 2.0,
        "fleet_type": "press",
    }
    rules = [
        SeriesRule(rule_id="lathes", device_type="lathe", open=4.0, **hour),
        SeriesRule(rule_id="presses", device_type="press", open=4.0, **hour),
    ]
    moved = [series(mean=70.0)]
    devices = [LearnedDevice("demo", "a", UNTIL, moved, "lathe"), LearnedDevice("demo", "b", UNTIL, moved)]
    world = World({3: devices}, rules=rules)
    report = world.run()
    assert [(each["device_id"], each["rule_id"]) for each in world.verdicts] == [("a", "lathes"), ("b", "presses")]
    described = {name: read_statistics(each) for name, each in world.hashes.hashes[name_statistics(3)].items()}
    assert {name: each and each.device_type for name, each in described.items()} == {"demo/a": "lathe", "demo/b": None}
    assert (world.typed_fleets, report.types_age) == ({"demo"}, timedelta(hours=2))


@pytest.mark.parametrize(("error", "is_defect"), [(Retryable("the directory is away"), False), (ValueError("x"), True)])
def test_types_that_cannot_be_read_end_no_run(error: Exception, is_defect: bool) -> None:
    world = World({3: [usual("a")]}, types_error=error)
    report = world.run()
    assert (report.shards, report.oldest, report.types_age) == (1, timedelta(seconds=70), None)
    assert report.defect is (error if is_defect else None)
