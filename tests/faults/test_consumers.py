"""Consumers that die at the worst moments, fail on every record, or find their sink away."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cli.simulation.client import digest
from cli.simulation.devices import EVENTS, Fleet, Sent
from tests.faults.conftest import Injector, check, letters, post_during, post_settled, wait_until
from tests.faults.test_killers import Lane
from tests.faults.test_ledger import command
from tests.flow.conftest import READERS, Stack
from tests.flow.http import post
from tests.support import samples
from tests.support.stream import load


def good_batches(seed: int, count: int, size: int = 100) -> Iterator[list[Sent]]:
    """Batches of events of now, as fast as they are taken."""
    fleet = Fleet(seed, devices=100, clock=lambda: datetime.now(UTC))
    for _ in range(count // size):
        yield [fleet.good_event(EVENTS) for _ in range(size)]


# Each batch is met by a death before anything is done, then by one after all is done, and then by neither.
DYING = """
import os
import signal
from pathlib import Path

live = handler


def handler(event, context):
    first = min(f"{place}-{records[0]['offset']}" for place, records in event["records"].items())
    met = Path(DEATHS) / first
    deaths = len(met.read_bytes()) if met.exists() else 0
    if deaths == 0:
        met.write_bytes(b"b")
        os.kill(os.getpid(), signal.SIGKILL)
    answer = live(event, context)
    if deaths == 1:
        met.write_bytes(b"ba")
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
"""


def dying(directory: Path) -> str:
    """The code of a consumer that dies in this way, and counts its deaths in a directory."""
    directory.mkdir()
    return DYING.replace("DEATHS", repr(str(directory)))


@pytest.mark.shows_fault(part="consumer", fault="killed before and after its commit", expected="effect once")
@pytest.mark.shows_loss_path(
    fails="a consumer's process dies, before or after its commit",
    section="Between Kafka and the stores",
    event_is="in Kafka, its offset not committed",
    told="`archive-errors`, `aggregate-errors`",
    comes_back="its batch is retried and takes effect once",
)
def test_a_consumer_killed_before_and_after_its_commit_takes_effect_once(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    places = {verb: stack.directory / f"deaths-{verb}" for verb in READERS}
    fleet = Fleet(61, devices=50, clock=lambda: datetime.now(UTC))
    bad = [sent for sent in (fleet.event() for _ in range(4000)) if sent.kind in ("invalid", "unknown_firmware")][:20]
    with (
        injector.deployed("archive", dying(places["archive"])),
        injector.deployed("aggregate", dying(places["aggregate"])),
        injector.deployed("deadletter", dying(places["deadletter"])),
    ):
        ledger = post_settled(stack, [*good_batches(62, 500), bad])
        stack.settle(READERS)
    for verb, place in places.items():
        assert "ba" in {one.read_text() for one in place.iterdir()}, f"{verb} never died after its work"
    assert sum(ledger.accepted.values()) == 500
    assert len(ledger.rejected) == len(bad)
    found = check(stack, ledger, earlier)
    assert found.copies > 0, "archive's rows are delivered again when it dies after its work"


BAD_DEPLOYMENT = """
from sluice.core.errors import Poison
from sluice.edge.archive import archiving


def make_row(*_):
    raise Poison("a bad deployment")


archiving.make_row = make_row
"""


@pytest.mark.shows_fault(
    part="consumer",
    fault="every record fails, as after a bad deployment",
    expected="it halts, and its successor catches up; the stream is not drained",
)
@pytest.mark.shows_loss_path(
    fails="every record fails, after a bad deployment",
    section="Between Kafka and the stores",
    event_is="in Kafka: the consumer halts instead of draining them",
    told="`archive-quarantine`, `aggregate-quarantine`, `archive-errors`, `aggregate-errors`",
    comes_back="the next deployment catches up",
)
def test_a_deployment_that_fails_every_record_halts_and_its_successor_catches_up(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    def given_up() -> int:
        return len([letter for letter in letters(stack) if letter["consumer"] == "archive"])

    before = given_up()
    with injector.deployed("archive", BAD_DEPLOYMENT):
        ledger = post_settled(stack, good_batches(63, 1000))
        stack.settle(readers=["aggregate"])
        waiting = stack.unread("archive")
        time.sleep(2)
        stack.settle(readers=["deadletter"])
        assert stack.unread("archive") == waiting, "a halted consumer goes no further"
        # A batch of ten records may be all poison, as at the edges of a burst.
        assert given_up() - before <= 50
        assert waiting >= 950
    check(stack, ledger, earlier)


def halts(injector: Injector, verb: str, before: int) -> bool:
    """Whether a consumer has halted once more."""
    return len(injector.recorded(verb, "QuarantineExceeded")) > before


@pytest.mark.shows_fault(
    part="consumer",
    fault="more bad records than its allowance, from a broken writer",
    expected="it halts until an admin allows it as many letters; they are stored, and the good records are processed",
)
@pytest.mark.shows_loss_path(
    fails="a writer produces more bad records than chance explains",
    section="Between Kafka and the stores",
    event_is="in Kafka: the consumer halts until an admin allows it more letters",
    told="`archive-quarantine`, `aggregate-quarantine`",
    comes_back="`sluice allow`; then the bad ones are in the dead letters with their bytes",
)
def test_a_consumer_halted_by_garbage_goes_on_when_an_admin_allows_it_as_many_letters(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    garbage = [b'{"half": %d' % number for number in range(300)]
    buried = {value.decode() for value in garbage}
    halted = {verb: len(injector.recorded(verb, "QuarantineExceeded")) for verb in ("archive", "aggregate")}
    lane = Lane(stack, partition=5)
    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    headers: list[tuple[str, str | bytes | None]] = [("sluice", f'[1,"{moment}","demo","telemetry",1,[],"c"]'.encode())]
    for part in range(10):
        for value in garbage[part * 30 : part * 30 + 30]:
            producer.produce("raw-events", key=b"press-00001", value=value, headers=headers, partition=lane.partition)
        assert producer.flush(30) == 0
        lane.accept(*lane.send(*(lane.event(f"press-{part}") for _ in range(120))))
    for verb in ("archive", "aggregate"):
        wait_until(f"{verb} halts", partial(halts, injector, verb, halted[verb]))
        assert len([letter for letter in letters(stack) if letter.get("event") in buried]) < 2 * len(garbage)
        assert "until" in command(stack, "allow", verb, "300", "--reason", "a broken writer")
    earlier |= {digest(value) for value in garbage}
    check(stack, lane.ledger, earlier)
    for verb in ("archive", "aggregate"):
        assert {letter.get("event") for letter in letters(stack) if letter["consumer"] == verb} >= buried
        assert "a broken writer" in command(stack, "audit", "list", "--target", f"consumer/{verb}")


@pytest.mark.shows_fault(
    part="Firehose", fault="throttle, death, and no bucket to deliver to", expected="everything is delivered in the end"
)
def test_a_delivery_stream_that_throttles_dies_and_finds_no_bucket_delivers_everything_in_the_end(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    thread, ledgers = post_during(stack, load(seed=64, count=1500, seconds=6))
    with injector.faulty_delivery(refuse_share=1.0, seed=64):
        time.sleep(2)
    with injector.frozen("aws"):
        time.sleep(1)
        injector.crash("firehose")
        time.sleep(1)
    with injector.slow("firehose"):
        thread.join()
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) >= 1500
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(
    part="dead letters",
    fault="their store unavailable",
    expected="their offsets stay where they are; no other consumer waits",
)
@pytest.mark.shows_loss_path(
    fails="their store is away",
    section="On the way to the dead letters",
    event_is="in topic `dead-letter`, for 30 days",
    told="`deadletter-retrying`, `deadletter-late`",
    comes_back="stored as soon as it is back",
)
def test_while_dead_letters_cannot_be_stored_their_offsets_stay_and_no_other_consumer_waits(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    bad = samples.read("telemetry-invalid.json")
    bodies = [samples.encode(bad | {"device_id": f"unstorable-{number}"}) for number in range(10)]
    with injector.frozen("aws"):
        for body in bodies:
            assert post(stack, EVENTS, body)[0] == 400
        ledger = post_settled(stack, good_batches(65, 500))
        wait_until("aggregate continues", lambda: stack.unread("aggregate") == 0)
        time.sleep(2)
        assert stack.unread("deadletter") == len(bodies)
    earlier |= {digest(body) for body in bodies}
    check(stack, ledger, earlier)
    kept = {letter.get("event") for letter in letters(stack)}
    assert {body.decode() for body in bodies} <= kept
