"""Simulated event sources: the local stack's own pollers, reading the simulated brokers in simulated time."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from local.models.config import MappingConfig
from local.models.invoke_client import Answer
from local.models.kafka_event import Record
from local.models.on_failure import Discard, invocation_record
from local.models.poller import DeliveryFailed, Poller
from tests.simulation.broker import BROKER, CREATE_TIME, Brokers, LogRecord
from tests.simulation.names import BOOTSTRAP
from tests.simulation.object_store import STORE, ObjectStore
from tests.simulation.processes import Runtime
from tests.simulation.timeline import Task
from tests.simulation.world import World


class _Revoked(Exception):
    """The poller's partitions are another's now."""


class PolledPartitions:
    """What one poller reads: some partitions, from what the group has committed."""

    def __init__(self, brokers: Brokers, topic: str, group: str, partitions: Sequence[int]) -> None:
        self._brokers = brokers
        self._topic = topic
        self._group = group
        self._partitions = partitions
        committed = brokers.committed[group, topic]
        self._next = {number: committed.get(number, 0) for number in partitions}
        self._paused: set[int] = set()
        self.revoked = False

    def poll(self, count: int, seconds: float) -> Sequence[Record]:
        """Return up to so many records; wait for them at most for some seconds."""
        found = self._take(count)
        if not found:
            self._brokers.world.timeline.sleep(seconds)
            found = self._take(count)
        if self.revoked:
            raise _Revoked
        return found

    def pause(self, partitions: Iterable[int]) -> None:
        """Read no more from partitions that stay assigned."""
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        """Read from them again."""
        self._paused -= set(partitions)

    def commit(self, offsets: dict[int, int]) -> None:
        """Move the group's offsets, unless the partitions are another's now."""
        if not self.revoked:
            committed = self._brokers.committed[self._group, self._topic]
            self._brokers.world.witness.note_offsets(self._group, self._topic, committed, offsets)
            committed.update(offsets)
            self._brokers.world.note(f"{self._group} commits {sorted(offsets.items())}")

    def _take(self, count: int) -> list[Record]:
        if BROKER in self._brokers.world.away:
            return []
        taken: list[Record] = []
        for number in self._partitions:
            if number in self._paused:
                continue
            log = self._brokers.topics[self._topic][number]
            records = log[self._next[number] : self._next[number] + count - len(taken)]
            self._next[number] += len(records)
            taken += map(_describe, records)
        return taken


def _describe(record: LogRecord) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        CREATE_TIME,
        record.key,
        record.value,
        record.headers,
    )


class EventSource:
    """One mapping with its pollers."""

    def __init__(
        self, world: World, brokers: Brokers, store: ObjectStore, runtime: Runtime, mapping: MappingConfig
    ) -> None:
        self._world = world
        self._brokers = brokers
        self._store = store
        self._runtime = runtime
        self._mapping = mapping
        self._assigned: list[PolledPartitions] = []
        self._given_up = 0
        self.start()

    def start(self) -> None:
        """Assign all partitions anew. What was under way goes on, and its commits no longer count."""
        for assigned in self._assigned:
            assigned.revoked = True
        numbers = list(range(len(self._brokers.topics[self._mapping.topic])))
        self._world.chance("assignment").shuffle(numbers)
        shares = [numbers[at :: self._mapping.pollers] for at in range(self._mapping.pollers)]
        self._assigned = [
            PolledPartitions(self._brokers, self._mapping.topic, self._mapping.group, sorted(share))
            for share in shares
            if share
        ]
        for assigned in self._assigned:
            self._spawn(assigned)

    def _spawn(self, assigned: PolledPartitions) -> Task:
        poller = Poller(
            self._mapping,
            BOOTSTRAP,
            assigned,
            self._invoke,
            self._deliver,
            lambda _metric, _events: None,
            self._world.timeline.seconds,
        )

        def work() -> None:
            with suppress(_Revoked):
                while not assigned.revoked:
                    poller.step()

        return self._world.timeline.spawn(f"poller of {self._mapping.group}", work)

    def _invoke(self, payload: bytes) -> Answer:
        answer: Answer = self._runtime.invoke(self._mapping.function_arn, msgspec.json.decode(payload))
        return answer

    def _deliver(self, records: Sequence[Record], payload: bytes, discard: Discard) -> None:
        if self._mapping.failure_bucket is None:
            return
        now = self._world.timeline.seconds()
        self._given_up += 1
        if discard.request_id is None:
            discard = Discard(discard.condition, discard.attempts, f"given-up-{self._given_up}")
        body: Any = invocation_record(self._mapping, BOOTSTRAP, records, payload, discard, now)
        if STORE in self._world.away:
            raise DeliveryFailed("the object store is away")
        self._world.witness.note_given_up(self._mapping.group, [(one.partition, one.offset) for one in records])
        self._store.write(self._mapping.failure_bucket, f"aws/lambda/{self._mapping.uuid}/{self._given_up:06d}", body)
