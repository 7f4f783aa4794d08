"""What is lost or wrong for a moment is seen when it happens, although it would be mended later."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sluice.core.messages import Message
from sluice.core.records import Origin
from tests.simulation.broker import Brokers, SimulatedProducer
from tests.simulation.faults import Faults
from tests.simulation.grants import Grants
from tests.simulation.processes import Invocation
from tests.simulation.settings import VERSION_HOLD
from tests.simulation.timeline import BEGINS
from tests.simulation.watching import MOST_DEATHS, Watch
from tests.simulation.world import World

KNOWN = b'[1, "2026-03-02T09:40:00Z", "demo", "telemetry", 3, [], "r"]'
NEWER = b'[99, "2026-03-02T09:40:00Z", "demo", "telemetry", 3, [], "r"]'


class Owner:
    """A database that says what it is told to."""

    def __init__(self) -> None:
        self.answer: list[tuple[Any, ...]] = []
        self.of_tables: dict[str, list[tuple[Any, ...]]] = {}
        """What it says of one table, instead."""

    def execute(self, statement: str, _parameters: object = None) -> Any:
        of_table = (rows for table, rows in self.of_tables.items() if f"FROM {table}" in statement)
        answer = next(of_table, self.answer)
        return SimpleNamespace(fetchone=lambda: answer[0], fetchall=lambda: answer)


class Scene:
    """Brokers under a watch."""

    def __init__(self) -> None:
        self.world = World("test", Faults(World("test", cast("Faults", None)).chance("faults"), over=True))
        self.brokers = Brokers(self.world)
        self.owner = Owner()
        self.watch = self.world.witness = Watch(self.brokers, cast("Any", self.owner), 1.0)

    def store(self, *envelopes: bytes) -> int:
        """Store records of one device; return their partition."""
        places = [
            self.brokers.append(Message("raw-events", b"press-1", b"{}", (("sluice", envelope),)))
            for envelope in envelopes
        ]
        return places[0].partition

    def archive(self, partition: int, offset: int) -> None:
        """Let a delivery stream take a row."""
        self.watch.note_rows([json.dumps({"kafka_partition": partition, "kafka_offset": offset}).encode()])

    def write_letter(self, consumer: str, partition: int, offset: int, reason: str, *answered: str) -> None:
        """Store a dead letter, as an invocation of a consumer."""
        letter = {"consumer": consumer, "reason": reason, "kafka_topic": "raw-events"}
        letter |= {"kafka_partition": partition, "kafka_offset": offset}  # type: ignore[dict-item]
        writer = self.invocation(consumer)
        writer.answered.update(answered)
        message = Message("dead-letter", b"letter", json.dumps(letter).encode(), ())
        self.watch.note_record(self.brokers.append(message), message, writer)

    def invocation(self, function: str, number: int = 1, begun: float = 0.0) -> Invocation:
        """Make an invocation that runs."""
        described = SimpleNamespace(name=function, timeout_seconds=29.0)
        process = cast("Any", SimpleNamespace(function=described, number=7))
        return Invocation(self.world, process, number, begun + 29.0, {"records": {}})


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_offsets_of_archive_pass_only_what_has_a_row_or_a_letter(scene: Scene) -> None:
    partition = scene.store(KNOWN, KNOWN, KNOWN)
    scene.archive(partition, 0)
    scene.write_letter("archive", partition, 1, "poison_record")
    scene.watch.note_offsets("archive", "raw-events", {}, {partition: 2})
    assert not scene.watch.wrong
    scene.watch.note_offsets("archive", "raw-events", {partition: 2}, {partition: 3})
    assert [*scene.watch.wrong] == [f"archive passes records of partition {partition} that it has nowhere: [2]"]


def test_offsets_of_aggregate_pass_only_what_is_covered(scene: Scene) -> None:
    partition = scene.store(KNOWN)
    scene.owner.answer = [(True,)]
    scene.watch.note_offsets("aggregate", "raw-events", {}, {partition: 1})
    assert not scene.watch.wrong
    scene.owner.answer = [(False,)]
    scene.watch.note_offsets("aggregate", "raw-events", {}, {partition: 1})
    assert [*scene.watch.wrong] == [f"aggregate passes records of partition {partition} that it has nowhere: [0]"]


def test_nothing_overtakes_a_record_that_is_held_and_it_is_given_up_only_later(scene: Scene) -> None:
    partition = scene.store(NEWER, KNOWN)
    scene.archive(partition, 1)
    scene.write_letter("aggregate", partition, 0, "version_ahead", "database")
    assert [*scene.watch.wrong] == [
        f"offset 1 of partition {partition} is archived before 0, which is held",
        f"aggregate gives up offset 0 of partition {partition}, which is of a newer release: version_ahead",
    ]
    scene.watch.wrong.clear()
    scene.world.timeline.run(lambda: False, VERSION_HOLD)
    scene.archive(partition, 1)
    scene.write_letter("aggregate", partition, 0, "version_ahead", "database")
    assert not scene.watch.wrong


def test_what_lies_behind_a_held_record_goes_on_once_archive_has_given_that_up_as_a_killer(scene: Scene) -> None:
    partition = scene.store(NEWER, NEWER, KNOWN)
    scene.write_letter("archive", partition, 0, "killer_record")
    scene.archive(partition, 2)
    assert [*scene.watch.wrong] == [f"offset 2 of partition {partition} is archived before 1, which is held"]
    scene.watch.wrong.clear()
    scene.write_letter("archive", partition, 1, "killer_record")
    scene.archive(partition, 2)
    assert not scene.watch.wrong


def test_aggregate_writes_no_letter_before_it_has_asked_the_database(scene: Scene) -> None:
    partition = scene.store(b"")
    scene.write_letter("aggregate", partition, 0, "poison_record", "brokers")
    (said,) = scene.watch.wrong
    assert said.startswith("aggregate writes the dead letter")


def test_archive_writes_no_letter_before_what_comes_before_it_is_kept(scene: Scene) -> None:
    partition = scene.store(KNOWN, b"")
    scene.write_letter("archive", partition, 1, "poison_record")
    (said,) = scene.watch.wrong
    assert said.endswith("before it has kept offset 0")


def test_windows_close_once_the_events_that_were_stored_before_their_end_are_counted(scene: Scene) -> None:
    partition = scene.store(NEWER, KNOWN, KNOWN)
    closed_until = BEGINS + timedelta(minutes=1)
    # The newer record has no letter yet: it is in no window.
    scene.owner.of_tables = {
        "shard": [(closed_until,)],
        "coverage": [(partition, [SimpleNamespace(lower=1, upper=3)])],
    }
    scene.watch.note_statement("roll", commits=True)
    assert not scene.watch.wrong
    closed_until += timedelta(minutes=1)
    scene.owner.of_tables = {
        "shard": [(closed_until,)],
        "coverage": [(partition, [SimpleNamespace(lower=2, upper=3)])],
    }
    scene.watch.note_statement("roll", commits=True)
    said = f"windows until {closed_until} are closed, and partition {partition} is read until {BEGINS}"
    assert [*scene.watch.wrong] == [said]


def test_a_record_is_given_up_once_it_has_ended_some_processes(scene: Scene) -> None:
    partition = scene.store(KNOWN)
    origin, ended = Origin("raw-events", partition, 0), scene.invocation("aggregate")
    for _ in range(MOST_DEATHS):
        scene.watch.note_death(origin, ended)
    assert not scene.watch.wrong
    scene.watch.note_death(origin, ended)
    assert [*scene.watch.wrong] == [f"aggregate ends again and again at offset 0 of partition {partition}"]


def test_a_consumer_halts_only_for_what_is_bad(scene: Scene) -> None:
    partition = scene.store(NEWER, KNOWN)
    halted = scene.invocation("archive")
    records = [{"topic": "raw-events", "partition": partition, "offset": offset} for offset in range(2)]
    halted.event = {"records": {"some": records}}
    scene.watch.note_halt(halted)
    assert [*scene.watch.wrong] == ["archive halts, and nothing in its batch of 2 is poison"]
    scene.watch.wrong.clear()
    scene.brokers.append(Message("raw-events", b"press-1", b"", ()))
    halted.event["records"]["some"].append(records[0] | {"offset": 2})
    scene.watch.note_halt(halted)
    assert not scene.watch.wrong


def test_a_replay_leaves_no_hole_that_a_reader_could_see(scene: Scene) -> None:
    for samples in (5, 6, 6):
        scene.owner.answer = [(samples,)]
        scene.watch.note_statement("replay", commits=True)
    assert not scene.watch.wrong
    scene.owner.answer = [(4,)]
    scene.watch.note_statement("replay", commits=False)
    assert [*scene.watch.wrong] == ["4 samples are left of 6 while a replay runs"]


def test_a_client_that_did_not_store_a_record_is_not_used_again(scene: Scene) -> None:
    producer = SimulatedProducer(scene.brokers)
    producer._has_gap = True
    (report,) = producer.store([Message("raw-events", b"press-1", b"{}", ())], 1.0)
    assert report is not None
    assert [*scene.watch.wrong] == ["a client that did not store a record is used again"]


def test_a_process_lets_in_its_share_while_the_cache_is_away(scene: Scene) -> None:
    wrong: dict[str, None] = {}
    grants = Grants(1.0, wrong)
    grants.begin(10.0)
    for moment, number in ((20.0, 1), (20.0, 1), (20.0, 1), (20.0, 1)):
        # A batch may take more than there is.
        grants.note(scene.invocation("ingest", number, begun=20.0), moment, away=True)
    assert not wrong
    grants.note(scene.invocation("ingest", 2, begun=21.0), 21.0, away=True)
    assert len(wrong) == 1
    wrong.clear()
    grants.note(scene.invocation("ingest", 3, begun=200.0), 200.0, away=True)
    assert not wrong
