"""What detect says of a batch, and what it does while stores are away. All stores are fakes."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import VERSION, DeviceStatistics, SeriesStatistics, Usual
from sluice.core.detect.watching import name_device, name_watched
from sluice.core.errors import Retryable
from sluice.core.events.envelope import HEADER, Envelope, write_envelope
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.samples.shards import shard_of
from sluice.edge.detect.detecting import Detecting
from sluice.edge.detect.statistics import PublishedStatistics, publish_statistics
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import Quarantine, SharedAllowance
from sluice.edge.kafka_client import Delivery, Unstored
from sluice.edge.metrics import metrics
from sluice.edge.published import Believed
from tests.support import samples
from tests.support.attempts import PlayedCache
from tests.support.played_hashes import PlayedHashes

NOW = samples.NOW
SENT = samples.read("telemetry-v2.json")
HOT = SeriesRule(fleet_id="demo", rule_id="hot", version=1, metric="cpu_temp", kind="above", open=80, clear=75)


@dataclass
class World:
    """The stores around detect, and what they were given."""

    rules: Sequence[SeriesRule] = (HOT,)
    rules_away: bool = False
    refused: int = 0
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    attempts: PlayedCache = field(default_factory=PlayedCache)
    hashes: PlayedHashes = field(default_factory=PlayedHashes)

    def find(self, now: Any) -> Believed[Rulebook]:
        del now
        if self.rules_away:
            raise Retryable("no rules are published")
        return Believed(Rulebook(self.rules))

    def store(self, messages: Sequence[Message]) -> list[Delivery]:
        if self.refused > 0:
            self.refused -= 1
            return [Unstored("the brokers are away")] * len(messages)
        for message in messages:
            kept = self.verdicts if message.topic == "alert-events" else self.letters
            kept.append(json.loads(message.value))
            self.keys.append(message.key)
        return [None] * len(messages)

    def detect(self, batch: dict[str, Any], hold: float = 0) -> list[dict[str, Any]]:
        """Process a batch in a new process, and return what must be retried."""
        cache, broker, rules = self.attempts.as_cache(), cast("Any", self), cast("Any", self)
        statistics = PublishedStatistics(self.hashes.as_cache())
        work = Detecting(
            samples.contracts(), Limits(), rules, statistics, broker, "alert-events", timedelta(minutes=30), lambda: NOW
        )
        consumer = BatchConsumer(
            work,
            Attempts(cache, "detect"),
            Quarantine(broker, "dead-letter", "detect", SharedAllowance(cache, "detect", processes=4)),
            Holds(cache, "detect", seconds=600),
            hold_seconds=hold,
            record_seconds=10,
            clock=lambda: NOW,
            sleep=lambda _: None,
            briefly=0,
        )
        failures: list[dict[str, Any]] = consumer.consume(batch, lambda: 120.0)["batchItemFailures"]
        metrics.clear_metrics()
        return failures


def record(offset: int, temperature: float = 50.0, *, flags: tuple[str, ...] = (), **changed: Any) -> dict[str, Any]:
    """A record as Lambda gives it."""
    envelope = Envelope(1, NOW, "demo", "telemetry", 2, flags, "c-1")
    number = f"{offset:012d}"
    event = SENT | {
        "event_id": f"7b1f0f52-0000-4000-8000-{number}",
        "metrics": SENT["metrics"] | {"cpu_temp": temperature},
    }
    return {
        "topic": "raw-events",
        "partition": 4,
        "offset": offset,
        "key": base64.b64encode(b"press-0008").decode(),
        "value": base64.b64encode(samples.encode(event)).decode(),
        "headers": [{HEADER: list(write_envelope(envelope))}],
    } | changed


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    return {"records": {"raw-events-4": list(records)}}


def first(offset: int) -> dict[str, Any]:
    return {"itemIdentifier": {"partition": "raw-events-4", "offset": offset}}


def told(world: World) -> list[tuple[str, list[int]]]:
    return [(each["rule_id"], [reading[0] for reading in each["readings"]]) for each in world.verdicts]


@pytest.fixture
def world() -> World:
    return World()


def test_a_breach_is_one_record_of_alert_events_keyed_by_the_device(world: World) -> None:
    assert world.detect(batch(record(1), record(2, 81), record(3, 82))) == []
    assert told(world) == [("hot", [1, 2, 3])]
    assert world.keys == [b"demo/press-0008"]
    (verdict,) = world.verdicts
    assert [reading[-2:] for reading in verdict["readings"]] == [
        ["", ""],
        ["81 degC is above the threshold of 80 degC", "c-1"],
        ["82 degC is above the threshold of 80 degC", "c-1"],
    ]
    assert verdict["correlation_id"] == "c-1"


def test_a_batch_in_which_all_is_usual_stores_nothing(world: World) -> None:
    assert world.detect(batch(record(1), record(2))) == []
    assert (world.verdicts, world.letters) == ([], [])


def test_clear_readings_of_a_watched_series_have_a_verdict(world: World) -> None:
    name = name_watched(shard_of("demo", "press-0008"))
    world.hashes.hashes[name][name_device("demo", "press-0008")] = b'["hot"]'
    assert world.detect(batch(record(1))) == []
    assert told(world) == [("hot", [1])]


def test_a_redelivered_batch_gives_the_same_verdicts(world: World) -> None:
    delivered = batch(record(1, 81), record(2))
    world.detect(delivered)
    world.detect(delivered)
    assert world.verdicts[0] == world.verdicts[1]


@pytest.mark.parametrize("flag", ["late_arrival", "clock_ahead", "redriven"])
def test_events_of_another_time_are_never_judged(world: World, flag: str) -> None:
    assert world.detect(batch(record(1, 99, flags=(flag,)))) == []
    assert world.verdicts == []


@pytest.mark.parametrize(
    ("device_type", "rule"), [("lathe", "lathes"), ("press", "presses"), (None, "presses"), ("robot", "hot")]
)
def test_a_device_is_judged_by_the_rule_of_its_own_type_and_without_one_by_that_of_its_fleet(
    world: World, device_type: str | None, rule: str
) -> None:
    of_types = [replace(HOT, rule_id=name, device_type=of) for name, of in (("lathes", "lathe"), ("presses", "press"))]
    world.rules = [replace(each, fleet_type="press") for each in (HOT, *of_types)]
    known = DeviceStatistics(VERSION, NOW.timestamp(), int(NOW.timestamp()) // 3600, {}, device_type)
    shard = shard_of("demo", "press-0008")
    publish_statistics(world.hashes.as_cache(), shard, {("demo", "press-0008"): known})
    assert world.detect(batch(record(1, 81))) == []
    assert told(world) == [(rule, [1])]


def test_a_series_without_a_rule_of_its_own_has_the_defaults(world: World) -> None:
    world.rules = ()
    series = SeriesStatistics(Usual(50.0, 1.0, 360), 10.0, 45.0, 55.0)
    statistics = DeviceStatistics(VERSION, NOW.timestamp(), int(NOW.timestamp()) // 3600, {"cpu_temp": series})
    device = ("demo", "press-0008")
    publish_statistics(world.hashes.as_cache(), shard_of(*device), {device: statistics})
    assert world.detect(batch(record(1, 57.5), record(2, 58))) == []
    assert told(world) == [("default-range-cpu-temp", [1, 2])]
    # A rule of its own stands in place of them.
    world.rules, world.verdicts = (HOT,), []
    world.detect(batch(record(3, 58)))
    assert world.verdicts == []


def test_without_statistics_thresholds_still_judge(world: World) -> None:
    world.hashes.away = True
    assert world.detect(batch(record(1, 81))) == []
    assert told(world) == [("hot", [1])]
    assert world.verdicts[0]["statistics"] is None


def test_while_no_rules_can_be_read_the_batch_is_retried(world: World) -> None:
    world.rules_away = True
    assert world.detect(batch(record(1, 81), record(2))) == [first(1)]
    assert world.verdicts == []


def test_a_batch_whose_verdicts_are_not_stored_is_retried(world: World) -> None:
    world.refused = 1
    assert world.detect(batch(record(1, 81), record(2))) == [first(1)]
    assert world.detect(batch(record(1, 81), record(2))) == []
    assert told(world) == [("hot", [1, 2])]


def test_what_cannot_be_read_becomes_a_dead_letter_and_its_neighbours_are_judged(world: World) -> None:
    bad = record(2, headers=[{HEADER: list(b"[]")}])
    assert world.detect(batch(record(1), bad, record(3, 81))) == []
    assert [(letter["reason"], letter["consumer"]) for letter in world.letters] == [("poison_record", "detect")]
    assert told(world) == [("hot", [1, 3])]


def test_a_record_of_a_newer_release_is_held_with_all_after_it(world: World) -> None:
    ahead = Envelope(1, NOW, "demo", "telemetry", 99, (), "c-1")
    newer = record(2, headers=[{HEADER: list(write_envelope(ahead))}])
    assert world.detect(batch(record(1, 81), newer, record(3, 82))) == [first(2)]
    assert told(world) == [("hot", [1])]
    assert world.letters == []
