"""A poller on its own: what it invokes, in which order, and which offsets it moves, however the function behaves."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.models.config import MappingConfig
from local.models.invoke_client import Answer, NotInvoked
from local.models.kafka_event import Record
from local.models.on_failure import Discard
from local.models.poller import DELIVERED, DROPPED, FAILED, DeliveryFailed, Poller

NOW = 1_700_000_000.0


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Topic:
    """Partitions of records, read as a consumer reads them; time passes while it waits."""

    clock: Clock
    partitions: dict[int, list[Record]]
    positions: dict[int, int] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)
    committed: dict[int, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    def poll(self, count: int, seconds: float) -> Sequence[Record]:
        found: list[Record] = []
        for partition in sorted(self.partitions):
            position = self.positions.get(partition, 0)
            if partition not in self.paused:
                found += self.partitions[partition][position : position + count - len(found)]
        for record in found:
            self.positions[record.partition] = record.offset + 1
        if len(found) < count:
            self.clock.now += max(seconds, 0.001)
        return found

    def pause(self, partitions: Iterable[int]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        self.paused -= set(partitions)

    def commit(self, offsets: dict[int, int]) -> None:
        for partition, offset in offsets.items():
            assert offset > self.committed.get(partition, 0), "offsets only move forward"
        self.committed.update(offsets)


@dataclass
class Function:
    """Notes what it is invoked with and answers as the test says."""

    answers: list[Any]
    batches: list[list[tuple[int, int]]] = field(default_factory=list)

    def __call__(self, payload: bytes) -> Answer:
        records = json.loads(payload)["records"].values()
        self.batches.append([(each["partition"], each["offset"]) for group in records for each in group])
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer == "error":
            return Answer(b"{}", failed=True, request_id="r")
        failures = [{"itemIdentifier": {"partition": f"topic-{p}", "offset": o}} for p, o in answer or []]
        return Answer(json.dumps({"batchItemFailures": failures}).encode(), failed=False, request_id="r")


@dataclass
class Destination:
    """Takes batches that were given up, unless the test says otherwise."""

    refusals: int = 0
    taken: list[tuple[list[tuple[int, int]], Discard]] = field(default_factory=list)

    def __call__(self, records: Sequence[Record], payload: bytes, discard: Discard) -> None:  # noqa: ARG002
        if self.refusals:
            self.refusals -= 1
            raise DeliveryFailed("not now")
        self.taken.append(([(each.partition, each.offset) for each in records], discard))


@dataclass
class World:
    """A poller with all it touches."""

    clock: Clock
    topic: Topic
    function: Function
    destination: Destination
    poller: Poller
    counted: Counter[str]

    def run(self, steps: int = 12) -> None:
        for _ in range(steps):
            self.poller.step()


def world(
    counts: dict[int, int],
    answers: Sequence[Any] = (),
    refusals: int = 0,
    value: bytes = b"v",
    timestamps: dict[tuple[int, int], float] | None = None,
    **changes: Any,
) -> World:
    mapping: dict[str, Any] = {
        "uuid": "u",
        "enabled": True,
        "cluster_arn": "arn",
        "topic": "topic",
        "group": "group",
        "function_arn": "function",
        "function_timeout_seconds": 10,
        "starting_position": "TRIM_HORIZON",
        "batch_size": 100,
        "window_seconds": 1,
        "pollers": 1,
        "partial_failures": True,
        "maximum_retries": 10_000,
        "maximum_age_seconds": -1,
        "failure_bucket": "bucket",
    }
    clock = Clock()
    at = timestamps or {}
    topic = Topic(
        clock,
        {
            partition: [
                Record("topic", partition, offset, int(at.get((partition, offset), NOW) * 1000), 1, b"k", value)
                for offset in range(count)
            ]
            for partition, count in counts.items()
        },
    )
    function, destination = Function(list(answers)), Destination(refusals)
    counted = Counter[str]()

    def count(metric: str, events: int) -> None:
        counted[metric] += events

    poller = Poller(MappingConfig(**{**mapping, **changes}), "b", topic, function, destination, count, clock)
    return World(clock, topic, function, destination, poller, counted)


def test_what_succeeded_is_committed_and_nothing_else_is_invoked() -> None:
    it = world({0: 3, 1: 2})
    it.run()

    assert it.function.batches == [[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]]
    assert it.topic.committed == {0: 3, 1: 2}


def test_a_batch_has_at_most_its_size() -> None:
    it = world({0: 7}, batch_size=3)
    it.run()

    assert [len(batch) for batch in it.function.batches] == [3, 3, 1]
    assert it.topic.committed == {0: 7}


def test_a_batch_stays_within_the_payload() -> None:
    it = world({0: 5, 1: 5}, value=b"x" * 1024 * 1024)
    it.run()

    assert [len(batch) for batch in it.function.batches] == [4, 4, 2]
    assert it.topic.committed == {0: 5, 1: 5}


def test_an_error_is_retried_with_the_same_batch_until_it_succeeds() -> None:
    it = world({0: 2, 1: 1}, answers=["error", "error", "error"])
    it.run()

    assert it.function.batches == [[(0, 0), (0, 1), (1, 0)]] * 4
    assert it.topic.committed == {0: 2, 1: 1}
    assert not it.topic.paused


def test_nothing_is_committed_before_it_succeeded() -> None:
    it = world({0: 2}, answers=["error"] * 100)
    it.run()

    assert it.topic.committed == {}


def test_a_partial_failure_commits_what_is_before_it_and_retries_from_there() -> None:
    it = world({0: 4, 1: 2}, answers=[[(0, 2)]])
    it.poller.step()
    assert it.topic.committed == {0: 2, 1: 2}
    it.run()

    assert it.function.batches[1] == [(0, 2), (0, 3)]
    assert it.topic.committed == {0: 4, 1: 2}
    assert it.counted == {FAILED: 2}


def test_other_partitions_continue_while_one_is_retried() -> None:
    it = world({0: 1, 1: 1}, answers=[[(0, 0)], [(0, 0)], [(0, 0)]], batch_size=2, window_seconds=0)
    it.poller.step()
    it.topic.partitions[1] += [Record("topic", 1, 1, int(NOW * 1000), 1, b"k", b"v")]
    it.topic.partitions[0] += [Record("topic", 0, 1, int(NOW * 1000), 1, b"k", b"v")]
    it.run(20)

    assert [(1, 1)] in it.function.batches
    assert it.function.batches.index([(1, 1)]) < len(it.function.batches) - 1
    assert it.function.batches[-1] == [(0, 1)]
    assert it.topic.committed == {0: 2, 1: 2}


def test_pauses_between_retries_grow() -> None:
    it = world({0: 1}, answers=["error"] * 5)
    times = []
    while len(it.function.batches) < 6:
        known = len(it.function.batches)
        it.poller.step()
        if len(it.function.batches) > known:
            times.append(it.clock.now)
    pauses = [later - earlier for earlier, later in pairwise(times)]

    assert all(later > earlier for earlier, later in pairwise(pauses))


def test_a_function_that_does_not_run_costs_no_attempt() -> None:
    it = world({0: 1}, answers=[NotInvoked("throttled")] * 20, maximum_retries=0)
    it.run(250)

    assert it.destination.taken == []
    assert it.topic.committed == {0: 1}
    assert not it.counted


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3), (-1, 11)])
def test_after_its_retries_a_batch_goes_to_the_destination_and_the_partition_on(retries: int, attempts: int) -> None:
    it = world({0: 2}, answers=["error"] * attempts, maximum_retries=retries)
    it.run(150)

    ((records, discard),) = it.destination.taken
    assert records == [(0, 0), (0, 1)]
    assert (discard.condition, discard.attempts) == ("RetryAttemptsExhausted", attempts)
    assert len(it.function.batches) == attempts
    assert it.topic.committed == {0: 2}
    assert it.counted == {FAILED: 2 * attempts, DELIVERED: 2}


def test_endless_retries_without_a_destination_are_endless() -> None:
    it = world({0: 1}, answers=["error"] * 30, maximum_retries=-1, failure_bucket=None)
    it.run(250)

    assert len(it.function.batches) == 31
    assert it.topic.committed == {0: 1}


def test_offsets_wait_until_the_destination_has_the_batch() -> None:
    it = world({0: 2}, answers=["error"], maximum_retries=0, refusals=3)
    it.poller.step()
    assert it.topic.committed == {}
    it.run(30)

    assert len(it.function.batches) == 1
    assert len(it.destination.taken) == 1
    assert it.topic.committed == {0: 2}
    assert it.counted == {FAILED: 2, DELIVERED: 2}


def test_records_that_are_too_old_are_not_invoked_but_delivered() -> None:
    it = world({0: 3, 1: 1}, timestamps={(0, 0): NOW - 100, (0, 1): NOW - 100}, maximum_age_seconds=60)
    it.run()

    assert it.destination.taken == [([(0, 0), (0, 1)], Discard("RecordAgeExceeded", 0))]
    assert it.function.batches == [[(0, 2), (1, 0)]]
    assert it.topic.committed == {0: 3, 1: 1}


def test_records_that_are_too_old_are_dropped_where_nothing_takes_them() -> None:
    it = world({0: 2}, timestamps={(0, 0): NOW - 100}, maximum_age_seconds=60, failure_bucket=None)
    it.run()

    assert it.topic.committed == {0: 2}
    assert it.counted == {DROPPED: 1}


def test_records_behind_old_ones_wait_for_their_delivery() -> None:
    it = world({0: 2, 1: 1}, timestamps={(0, 0): NOW - 100}, maximum_age_seconds=60, refusals=2)
    it.poller.step()
    assert it.function.batches == [[(1, 0)]]
    it.run(30)

    assert it.function.batches == [[(1, 0)], [(0, 1)]]
    assert it.topic.committed == {0: 2, 1: 1}


def test_a_record_that_no_invocation_can_carry_is_delivered_at_once() -> None:
    it = world({0: 1, 1: 1}, value=b"x" * 7 * 1024 * 1024)
    it.run()

    assert [(records, discard.condition) for records, discard in it.destination.taken] == [
        ([(0, 0)], "MaximumPayloadSizeExceeded"),
        ([(1, 0)], "MaximumPayloadSizeExceeded"),
    ]
    assert it.function.batches == []


def test_without_partial_failures_any_answer_is_success() -> None:
    it = world({0: 2}, answers=[[(0, 1)]], partial_failures=False)
    it.run()

    assert len(it.function.batches) == 1
    assert it.topic.committed == {0: 2}


def test_what_is_revoked_is_forgotten() -> None:
    it = world({0: 1, 1: 1}, answers=["error"])
    it.poller.step()
    it.poller.revoked([0])
    it.run()

    assert it.function.batches[1:] == [[(1, 0)]]
    assert it.topic.committed == {1: 1}


faults = st.one_of(
    st.none(),
    st.just("error"),
    st.just(NotInvoked("throttled")),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(
    counts=st.dictionaries(st.integers(0, 2), st.integers(0, 10), min_size=1),
    answers=st.lists(faults, max_size=15),
    batch_size=st.integers(1, 8),
)
def test_after_any_failure_everything_succeeds_once_more_and_in_order(
    counts: dict[int, int], answers: list[Any], batch_size: int
) -> None:
    it = world(counts, answers=answers, batch_size=batch_size, window_seconds=0)
    it.run(400)

    assert it.topic.committed == {partition: count for partition, count in counts.items() if count}
    for partition, count in counts.items():
        offsets = [offset for batch in it.function.batches for p, offset in batch if p == partition]
        assert set(offsets) == set(range(count))
        # No offset is skipped: the next one is a step forward or a step back for a retry.
        assert all(later <= earlier + 1 for earlier, later in pairwise(offsets))
    assert not it.topic.paused
    assert it.destination.taken == []
