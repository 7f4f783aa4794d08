"""Re-drives on a real database: each event is produced, counted and closed, wherever a run ends."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, LiteralString

import msgspec
import psycopg
import pytest
from psycopg.types.json import Jsonb

from sluice.core.errors import Refusal
from sluice.core.failures.letterbox import collect
from sluice.core.failures.letters import Letter
from sluice.core.messages import Message
from sluice.core.records import KafkaRecord, Origin
from sluice.core.redrive.fixes import read_fix
from sluice.core.redrive.groups import MOST_ATTEMPTS, key_of
from sluice.edge.database import Connection
from sluice.edge.kafka_client import Unstored
from sluice.edge.redrive import accounting, tables
from sluice.edge.redrive.giving import Takers
from sluice.edge.redrive.letter_files import LetterFiles
from sluice.edge.redrive.looking import Looking
from sluice.edge.redrive.redriving import Sender
from sluice.edge.redrive.tables import RedriveTables
from tests.database import redriving
from tests.database.replaying import connect_as
from tests.support import samples
from tests.support.letters import put, reject, rename, telemetry

NOW = samples.NOW + timedelta(minutes=10)
FIX = [{"verb": "rename", "path": "metrics.cpuTemp", "to": "metrics.cpu_temp"}]
BUG = rename("cpu_temp", "cpuTemp")
RANGE = {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"}
OBJECT = 7
"""Letters in an object."""


def beyond_repair(document: dict[str, Any]) -> None:
    """The same bug, and a second one behind it that the fix does not reach."""
    BUG(document)
    document["metrics"]["vibration_rms"] = "x"


@dataclass
class Bucket:
    """The objects of deadletter."""

    held: dict[str, bytes] = field(default_factory=dict)
    _offsets: Iterator[int] = field(default_factory=count)

    def keep(self, letters: Sequence[Letter]) -> None:
        """Store letters as deadletter does, some to an object."""
        for start in range(0, len(letters), OBJECT):
            some = letters[start : start + OBJECT]
            records = [
                KafkaRecord(Origin("dead-letter", 0, next(self._offsets)), msgspec.json.encode(one), {}) for one in some
            ]
            self.held |= {name: body.data for name, body in collect(records, "us-east-1", NOW).items()}

    def list_pages(self, prefix: str, after: str = "") -> Iterator[dict[str, str]]:
        yield {name: "etag" for name in sorted(self.held) if name.startswith(prefix) and name > after}

    def get(self, name: str) -> bytes:
        return self.held[name]


class Brokers:
    """Stores what it is given, unless it refuses."""

    def __init__(self) -> None:
        self.stored: list[Message] = []
        self.refuses: set[int] = set()

    def place(self, messages: Sequence[Message]) -> list[Origin | Unstored]:
        return [self._place(index, message) for index, message in enumerate(messages)]

    def _place(self, index: int, message: Message) -> Origin | Unstored:
        if index in self.refuses:
            return Unstored("not enough replicas")
        self.stored.append(message)
        return Origin("raw-events", len(self.stored) % 3, len(self.stored) // 3)


class World:
    """A stage with dead letters."""

    def __init__(self, dsn: str) -> None:
        self.owner = psycopg.connect(dsn, autocommit=True)
        self.owner.execute(
            "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second) VALUES ('demo', 10, 10)"
        )
        self.connection = connect_as(dsn, "redrive")
        self.bucket, self.brokers = Bucket(), Brokers()
        self.now = NOW
        self._dsn = dsn

    def close(self) -> None:
        self.owner.close()
        self.connection.close()

    @property
    def sender(self) -> Sender:
        files: Any = LetterFiles(self.bucket, "us-east-1")  # type: ignore[arg-type]
        nothing: Any = {}
        return Sender(
            Takers(nothing, "arn", "broker"),
            files,
            self.brokers,  # type: ignore[arg-type]
            samples.rules(),
            per_second=1e9,
            settle=timedelta(minutes=2),
            kept=timedelta(days=30),
            clock=lambda: self.now,
        )

    def begin(self, letters: Sequence[Letter], fix: Sequence[dict[str, Any]] = FIX) -> int:
        """Begin a re-drive as admin does."""
        return begin(self.owner, key_of(letters[0]).group_id, fix)

    def run(self, may_go_on: Callable[[], bool] = lambda: True) -> int:
        return redriving.run(self._dsn, self.sender, may_go_on)

    def run_until_death(self, statements: int) -> bool:
        return redriving.run_until_death(self._dsn, self.sender, statements)

    def look(self) -> Looking:
        return Looking(self.sender.files, samples.rules(), self.connection, lambda: True)

    def account(self, *consumers: str) -> None:
        """Cover all records, as the consumers do."""
        for consumer in consumers:
            for partition in range(3):
                self.owner.execute(
                    "INSERT INTO coverage (consumer, topic, partition, offsets)"
                    " VALUES (%s, 'raw-events', %s, '{[0,100000)}')"
                    " ON CONFLICT (consumer, topic, partition) DO UPDATE SET offsets = excluded.offsets",
                    [consumer, partition],
                )

    def state(self, number: int) -> str:
        return str(self.owner.execute("SELECT state FROM redrive WHERE redrive_number = %s", [number]).fetchall()[0][0])

    def letters(self) -> dict[tuple[str, int], int]:
        """How many letters are in each state after so many attempts."""
        rows = self.owner.execute("SELECT state, attempts, count(*) FROM redrive_letter GROUP BY 1, 2").fetchall()
        return {(state, attempts): number for state, attempts, number in rows}

    def groups(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.look().groups(RANGE)["items"]
        return items


def begin(owner: Connection, group_id: str, fix: Sequence[dict[str, Any]]) -> int:
    row = owner.execute(
        "INSERT INTO redrive (group_id, fleet_id, fix, since, until, principal, reason, correlation_id)"
        " VALUES (%s, 'demo', %s, '2026-11-20', %s, 'someone', 'because', 'c') RETURNING redrive_number",
        [group_id, Jsonb(list(fix)), samples.NOW + timedelta(minutes=5)],
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def world(database: str) -> Iterator[World]:
    found = World(database)
    yield found
    found.close()


def of_bug(number: int, start: int = 0) -> list[Letter]:
    return [reject(telemetry(one, BUG)) for one in range(start, start + number)]


def ids(messages: Sequence[Message]) -> list[str]:
    return [msgspec.json.decode(message.value)["event_id"] for message in messages]


def test_a_group_is_redriven_counted_and_closed_and_what_is_still_bad_has_its_attempt(world: World) -> None:
    good, bad = of_bug(20), [reject(telemetry(number, beyond_repair)) for number in range(20, 23)]
    world.bucket.keep([*good, *bad, *good[:5]])
    (group,) = world.groups()
    assert (group["letters"], group["state"]) == (23, "open")
    number = world.begin(good)
    assert world.run() == 20
    assert world.letters() == {("accepted", 1): 20, ("rejected", 1): 3}
    assert sorted(ids(world.brokers.stored)) == sorted(json_id(letter) for letter in good)
    assert world.state(number) == "draining"
    world.account("archive")
    world.run()
    # Every consumer of the ledger must have it.
    assert world.state(number) == "draining"
    world.account("aggregate")
    world.run()
    assert world.state(number) == "done"
    assert world.letters() == {("accounted", 1): 20, ("rejected", 1): 3}
    (group,) = world.groups()
    assert (group["accounted"], group["still_bad"], group["state"]) == (20, 3, "open")
    (entry,) = world.owner.execute("SELECT entry::jsonb FROM audit").fetchall()[0]
    assert (entry["action"], entry["target"]) == ("redrive.end", f"redrive/redrive-{number}")
    assert entry["principal"] == "someone"


def json_id(letter: Letter) -> str:
    return str(msgspec.json.decode(letter.event or "")["event_id"])


def test_attempts_are_bounded_and_then_the_group_closes(world: World) -> None:
    bad = [reject(telemetry(number, beyond_repair)) for number in range(2)]
    world.bucket.keep(bad)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        number = world.begin(bad)
        world.run()
        assert world.state(number) == "done"
        assert world.letters() == {("rejected", attempt): 2}
    (group,) = world.groups()
    assert (group["exhausted"], group["state"]) == (2, "closed")
    world.begin(bad)
    world.run()
    assert world.letters() == {("rejected", MOST_ATTEMPTS): 2}
    assert world.brokers.stored == []


def test_what_was_accepted_once_is_never_produced_again_on_purpose(world: World) -> None:
    letters = of_bug(4)
    world.bucket.keep(letters)
    world.begin(letters)
    world.account("archive", "aggregate")
    world.run()
    number = world.begin(letters)
    assert world.run() == 0
    assert (len(world.brokers.stored), world.state(number)) == (4, "done")
    counts = world.owner.execute("SELECT counts FROM redrive WHERE redrive_number = %s", [number]).fetchall()[0][0]
    assert counts["passed_over"] == 4


@pytest.mark.shows_fault(
    part="redrive",
    fault="killed at any statement",
    expected="each event is in raw-events, and one of its copies counts",
)
def test_wherever_a_run_dies_the_next_one_finishes_and_every_event_is_produced(world: World) -> None:
    letters = [*of_bug(OBJECT + 3), reject(telemetry(50, beyond_repair))]
    world.bucket.keep(letters)
    world.account("archive", "aggregate")
    wanted = {json_id(letter) for letter in letters[:-1]}
    statements = 0
    while True:
        world.owner.execute("DELETE FROM redrive; DELETE FROM redrive_letter; DELETE FROM audit")
        world.brokers.stored.clear()
        number = world.begin(letters)
        died = world.run_until_death(statements)
        world.run()
        assert world.state(number) == "done", statements
        assert set(ids(world.brokers.stored)) == wanted, statements
        # An event is produced twice only if its place was not written: a piece of an object at most.
        assert len(world.brokers.stored) - len(wanted) <= OBJECT, statements
        assert world.letters() == {("accounted", 1): len(wanted), ("rejected", 1): 1}, statements
        assert world.owner.execute("SELECT count(*) FROM audit").fetchall() == [(1,)], statements
        if not died:
            break
        statements += 1
    assert statements > 10


@pytest.mark.shows_fault(
    part="redrive", fault="brokers refuse", expected="the letters stay `sending`, and the next run produces them"
)
def test_what_the_brokers_do_not_take_is_sent_by_the_next_run(world: World) -> None:
    letters = of_bug(4)
    world.bucket.keep(letters)
    number = world.begin(letters)
    world.brokers.refuses = {1, 2}
    world.run()
    assert world.letters() == {("accepted", 1): 2, ("sending", 1): 2}
    trouble = "SELECT trouble FROM redrive WHERE redrive_number = %s"
    assert "not enough replicas" in world.owner.execute(trouble, [number]).fetchall()[0][0]
    world.brokers.refuses.clear()
    world.run()
    assert world.letters() == {("accepted", 1): 4}
    assert world.owner.execute(trouble, [number]).fetchall() == [(None,)]
    assert sorted(ids(world.brokers.stored)) == sorted(map(json_id, letters))


def test_a_run_ends_in_time_and_goes_on_where_it_was(world: World) -> None:
    letters = of_bug(3 * OBJECT)
    world.bucket.keep(letters)
    number = world.begin(letters)
    assert [world.run(may_go_on=lambda: False) for _ in range(3)] == [OBJECT] * 3
    assert world.state(number) == "sending"
    assert world.run() == 0
    assert world.state(number) == "draining"


def test_a_run_whose_time_is_over_leaves_the_next_redrive_to_the_next_run(world: World) -> None:
    first, second = of_bug(OBJECT), [reject(telemetry(50, put("humidity", "wet")))]
    world.bucket.keep([*first, *second])
    world.begin(first)
    world.begin(second, [{"verb": "drop", "path": "metrics.humidity"}])
    assert world.run(may_go_on=lambda: False) == OBJECT
    assert world.run() == 1


def test_a_cancelled_redrive_sends_nothing_more(world: World) -> None:
    letters = of_bug(3 * OBJECT)
    world.bucket.keep(letters)
    number = world.begin(letters)
    world.run(may_go_on=lambda: False)
    world.owner.execute("UPDATE redrive SET state = 'cancelled' WHERE redrive_number = %s", [number])
    assert world.run() == 0
    assert len(world.brokers.stored) == OBJECT


def test_what_a_cancelled_redrive_has_sent_is_accounted_for_all_the_same(world: World) -> None:
    letters = of_bug(OBJECT)
    world.bucket.keep(letters)
    number = world.begin(letters)
    world.run(may_go_on=lambda: False)
    world.owner.execute("UPDATE redrive SET state = 'cancelled' WHERE redrive_number = %s", [number])
    world.account("archive", "aggregate")
    world.run()
    assert [group["state"] for group in world.groups()] == ["closed"]


def test_a_fix_that_this_release_cannot_read_fails_alone(world: World) -> None:
    letters, others = of_bug(1), [reject(telemetry(9, put("humidity", "wet")))]
    world.bucket.keep([*letters, *others])
    unreadable = world.begin(others, [{"verb": "convert", "path": "a", "from": "ell", "to": "m"}])
    readable = world.begin(letters)
    assert world.run() == 1
    assert (world.state(unreadable), world.state(readable)) == ("failed", "draining")
    trouble = "SELECT trouble FROM redrive WHERE redrive_number = %s"
    assert "is no unit" in world.owner.execute(trouble, [unreadable]).fetchall()[0][0]


def test_letters_that_may_still_be_on_their_way_are_waited_for(world: World) -> None:
    world.now = samples.NOW + timedelta(minutes=6)
    letters = of_bug(1)
    world.bucket.keep(letters)
    world.begin(letters)
    assert world.run() == 0
    world.now = NOW
    assert world.run() == 1


def test_events_that_nobody_accounts_for_end_a_redrive_as_failed(world: World) -> None:
    letters = of_bug(1)
    world.bucket.keep(letters)
    number = world.begin(letters)
    world.run()
    world.now = datetime.now(UTC) + timedelta(hours=8)
    world.run()
    assert world.state(number) == "failed"


@pytest.mark.shows_loss_path(
    section="On the way to the dead letters",
    fails="a re-drive cannot send, or its events are not accounted for",
    event_is="in its dead letter, for 30 days",
    told="`redrive-standstill`, `redrive-failed`",
    comes_back="the next run sends it; of one that failed, another re-drive with its fix",
)
def test_a_redrive_that_cannot_send_for_hours_ends_as_failed_and_says_why(world: World) -> None:
    letters = of_bug(2)
    world.bucket.keep(letters)
    number = world.begin(letters)
    world.brokers.refuses = {0, 1}
    world.run()
    assert world.state(number) == "sending"
    world.owner.execute("UPDATE redrive SET moved_at = moved_at - interval '6 hours'")
    assert 6 * 3600 <= RedriveTables(world.connection).measure_standstill() < 7 * 3600
    world.now = datetime.now(UTC) + timedelta(hours=2)
    world.run()
    assert world.state(number) == "failed"
    assert RedriveTables(world.connection).measure_standstill() == 0
    trouble = "SELECT trouble FROM redrive WHERE redrive_number = %s"
    assert "not enough replicas" in world.owner.execute(trouble, [number]).fetchall()[0][0]


def test_many_events_are_accounted_for_and_forgotten_some_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (accounting, tables):
        monkeypatch.setattr(module, "MOST_ASKED", 3)
    letters = of_bug(OBJECT)
    world.bucket.keep(letters)
    world.begin(letters)
    world.run()
    world.account("archive", "aggregate")
    under_work = RedriveTables(world.connection)
    accounting.account(world.connection, lambda: False)
    assert world.letters() == {("accounted", 1): 3, ("accepted", 1): 4}
    accounting.account(world.connection, lambda: True)
    assert world.letters() == {("accounted", 1): OBJECT}
    under_work.forget(timedelta(0), lambda: False)
    assert world.letters() == {("accounted", 1): OBJECT - 3}
    under_work.forget(timedelta(0), lambda: True)
    assert world.letters() == {}


def test_redrives_end_even_if_the_ledger_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [reject(telemetry(number, beyond_repair)) for number in range(2)]
    world.bucket.keep(bad)
    number = world.begin(bad)
    monkeypatch.setattr(accounting, "_ACCOUNT", "SELECT pg_sleep(9), %s, %s, %s, %s")
    world.owner.execute("ALTER ROLE sluice_redrive SET statement_timeout = '200ms'")
    try:
        world.run()
    finally:
        world.owner.execute("ALTER ROLE sluice_redrive RESET statement_timeout")
    assert world.state(number) == "done"


def test_the_hash_of_what_the_device_sent_is_kept_with_the_place_of_its_event(world: World) -> None:
    (letter,) = of_bug(1)
    world.bucket.keep([letter])
    world.begin([letter])
    world.run()
    sent = hashlib.sha256((letter.event or "").encode()).hexdigest()
    kept = "SELECT original_sha256, kafka_partition, kafka_offset FROM redrive_letter"
    assert world.owner.execute(kept).fetchall() == [(sent, 1, 0)]


def test_cut_letters_are_counted_and_unreadable_objects_are_passed_over(world: World) -> None:
    letters = of_bug(3)
    cut = msgspec.structs.replace(letters[2], event="{")
    world.bucket.keep([*letters[:2], cut])
    world.bucket.held["dead_letters/region=us-east-1/dt=2026-11-20/00000-0.json.gz"] = b"no gzip"
    number = world.begin(letters)
    world.run()
    assert world.letters() == {("accepted", 1): 2, ("incomplete", 0): 1}
    counts = world.owner.execute("SELECT counts FROM redrive WHERE redrive_number = %s", [number]).fetchall()[0][0]
    assert (counts["objects"], counts["unreadable"]) == (2, 1)


def test_the_home_region_is_that_of_now(world: World) -> None:
    world.owner.execute("UPDATE fleet SET home_region = 'us-east-1'")
    sent = samples.encode(samples.read("reading-v2.json") | {"quality": "odd", "region": "eu-west-1"})
    letter = reject(sent, "reading")
    world.bucket.keep([letter])
    world.begin([letter], [{"verb": "drop", "path": "quality"}])
    world.run()
    assert world.letters() == {("rejected", 1): 1}
    assert world.owner.execute("SELECT reason FROM redrive_letter").fetchall() == [("wrong_region",)]


@pytest.mark.parametrize(
    ("change", "code"),
    [("home_region = 'eu-west-1'", "wrong_region"), ("archived_at = clock_timestamp()", "fleet_archived")],
)
def test_a_fleet_that_ingest_refuses_is_not_redriven(world: World, change: LiteralString, code: str) -> None:
    letters = of_bug(2 * OBJECT)
    world.bucket.keep(letters)
    number = world.begin(letters)
    assert world.run(may_go_on=lambda: False) == OBJECT
    # The fleet changes while its letters are sent.
    world.owner.execute(f"UPDATE fleet SET {change}")  # type: ignore[arg-type,unused-ignore]
    assert world.run() == 0
    assert (world.state(number), len(world.brokers.stored)) == ("failed", OBJECT)
    with pytest.raises(Refusal) as refused:
        world.look().measure({**RANGE, "group_id": key_of(letters[0]).group_id, "fix": FIX})
    assert refused.value.code == code


def test_letters_that_a_cancelled_redrive_left_in_sending_are_finished_under_its_fix_alone(world: World) -> None:
    letters = of_bug(4)
    world.bucket.keep(letters)
    first = world.begin(letters)
    # The brokers store three of them and do not say so of two.
    world.brokers.refuses = {1, 2}
    world.run()
    world.owner.execute("UPDATE redrive SET state = 'cancelled' WHERE redrive_number = %s", [first])
    world.brokers.refuses.clear()
    world.account("archive", "aggregate")
    other = world.begin(letters, [*FIX, {"verb": "convert", "path": "metrics.cpu_temp", "from": "degF", "to": "degC"}])
    assert world.run() == 0
    assert world.state(other) == "done"
    counts = world.owner.execute("SELECT counts FROM redrive WHERE redrive_number = %s", [other]).fetchall()[0][0]
    assert counts["passed_over"] == 4
    same = world.begin(letters)
    assert world.run() == 2
    assert world.state(same) == "done"
    assert world.letters() == {("accounted", 1): 4}
    assert [group["state"] for group in world.groups()] == ["closed"]


def test_a_group_is_asked_about_explained_and_proposed_for(world: World) -> None:
    letters = of_bug(4)
    world.bucket.keep(letters)
    group_id = key_of(letters[0]).group_id
    asked = {**RANGE, "group_id": group_id}
    assert world.look().propose(asked) == {
        "fix": FIX,
        "tried": 4,
        "passed": 4,
        "passed_before": 0,
        "share": 1.0,
        "complete": True,
    }
    assert world.look().measure({**asked, "fix": FIX})["share"] == 1.0
    told = world.look().explain({**RANGE, "letter_id": letters[0].letter_id[:12]})
    assert (told["group_id"], told["state"], told["attempts"]) == (group_id, None, 0)
    assert told["breaches"][0]["path"] == "metrics.cpu_temp"


@pytest.mark.parametrize(
    ("question", "asked", "code"),
    [
        ("groups", {"from": "2026-11-20T00:00:00", "to": "2026-11-21T00:00:00Z"}, "invalid_range"),
        ("groups", {"from": "2026-11-21T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, "range_reversed"),
        ("groups", {"from": "2026-01-21T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, "range_too_long"),
        ("groups", RANGE | {"colour": "red"}, "invalid_body"),
        ("explain", RANGE | {"letter_id": "0123456789ab"}, "unknown_letter"),
        ("explain", RANGE | {"letter_id": "%"}, "invalid_body"),
        ("propose", RANGE | {"group_id": "0123456789abcdef"}, "unknown_group"),
        ("measure", RANGE | {"group_id": "0123456789abcdef", "fix": [{"verb": "run"}]}, "invalid_fix"),
    ],
)
def test_a_question_that_has_no_answer_is_refused(world: World, question: str, asked: Any, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        getattr(world.look(), question)(asked)
    assert refused.value.code == code


def test_two_runs_at_once_do_not_both_send(world: World, database: str) -> None:
    letters = of_bug(2)
    world.bucket.keep(letters)
    world.begin(letters)
    with connect_as(database, "redrive") as other:
        other.execute("SELECT pg_try_advisory_lock(hashtextextended('redrive', 0))")
        assert world.run() == 0
        other.execute("SELECT pg_advisory_unlock_all()")
    assert world.run() == 2


def test_one_redrive_of_a_group_at_a_time(world: World) -> None:
    letters = of_bug(1)
    world.begin(letters)
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.begin(letters)


def test_a_stored_fix_is_read_again() -> None:
    assert read_fix(FIX, samples.contracts().book)
