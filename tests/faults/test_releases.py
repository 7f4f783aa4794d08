"""Two releases at work at once, as in every deployment: the next one writes what the one before cannot read.

The next release is a copy of this one's layer with changes. Version 2 of its envelope swaps two elements and adds one;
version 4 of its telemetry, for firmware 4.x, renames a metric and has it in kelvin. Another release between them only
adds: that version of telemetry, and an element of the envelope that this release reads past.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.simulation.client import Ledger
from cli.simulation.clocks import ended_minutes
from cli.simulation.devices import EVENTS, Fleet, Sent, write
from tests.faults.conftest import Injector, post_settled, wait_until
from tests.flow.conftest import READERS, Stack, start, stop
from tests.support import recomputation, stores
from tests.support.invariants import Balance, balance
from tests.support.stores import RAW_EVENTS, Letter
from tests.support.stream import load

CONSUMERS = ("archive", "aggregate")
UPDATED = (*CONSUMERS, "deadletter", "reconcile", "salvage")
"""The functions that read events, and are deployed before ingest as a rule."""
GIVEN_UP = "SELECT count(*) FROM gap WHERE consumer = 'aggregate' AND given_up"
LONG, SHORT = {"VERSION_HOLD_SECONDS": "600"}, {"VERSION_HOLD_SECONDS": "1"}

ADDITION = """

_write_before = write_envelope


def write_envelope(envelope):
    return _encode([*msgspec.json.decode(_write_before(envelope)), "an addition"])
"""

ENVELOPE_2 = """

class _Second(Head, frozen=True, array_like=True):
    correlation_id: str
    flags: tuple[str, ...]
    region: str


def _read_second(header, decode=msgspec.json.Decoder(_Second).decode):
    it = decode(header)
    head = [getattr(it, name) for name in Head.__struct_fields__]
    return Envelope(*head, it.flags, it.correlation_id)


def write_envelope(envelope):
    head = [getattr(envelope, name) for name in Head.__struct_fields__]
    return _encode(_Second(*head, envelope.correlation_id, envelope.flags, "eu"))


_READERS = {1: msgspec.json.Decoder(Envelope).decode, 2: _read_second}
VERSION = 2
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the next release's records would stay unread by this one's in all other tests."""
    directory = tmp_path_factory.mktemp("releases")
    try:
        yield start(directory)
    finally:
        stop(directory)


@pytest.fixture(scope="module")
def adding(stack: Stack) -> Path:
    """The layer of a release that only adds."""
    return make_release(stack, "adding", ADDITION)


@pytest.fixture(scope="module")
def following(stack: Stack) -> Path:
    """The layer of the next release."""
    return make_release(stack, "following", ENVELOPE_2)


@pytest.fixture(autouse=True)
def checker(following: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the independent checker the next release's contracts."""
    monkeypatch.setattr(recomputation, "SCHEMAS", following / "schemas")
    monkeypatch.setitem(stores.FLAGS_AT, 2, 6)


def make_release(stack: Stack, name: str, envelope: str) -> Path:
    """Copy our layer, add to its envelope, and add the version of telemetry that the next release brings."""
    layer = stack.directory / name
    # Workers that start write byte code under names that vanish.
    shutil.copytree(Injector(stack).layer("ingest"), layer, ignore=shutil.ignore_patterns("__pycache__"))
    with (layer / "python/sluice/core/events/envelope.py").open("a") as module:
        module.write(envelope)
    schema = json.loads((layer / "schemas/telemetry/3.json").read_text())
    schema |= {"$id": "urn:sluice:telemetry:4", "x-version": 4, "x-firmware-major": 4}
    properties = schema["properties"]
    properties["device_firmware_version"]["pattern"] = r"^4\.[0-9]{1,9}$"
    metrics = properties["metrics"]
    metrics["required"] = ["processor_temperature", "vibration_rms"]
    temperature = metrics["properties"].pop("cpu_temp")
    metrics["properties"]["processor_temperature"] = temperature | {"x-unit": "K"}
    (layer / "schemas/telemetry/4.json").write_text(json.dumps(schema))
    return layer


def newer(seed: int, count: int, size: int = 50) -> Iterator[list[Sent]]:
    """Batches in which every other event is of firmware 4.x."""
    fleet = Fleet(seed, devices=60, clock=ended_minutes(seed))
    for _ in range(count // size):
        events = [fleet.good_event(EVENTS) for _ in range(size)]
        yield [upgrade(sent) if place % 2 else sent for place, sent in enumerate(events)]


def upgrade(sent: Sent) -> Sent:
    """The same event as firmware 4.x would send it."""
    document: dict[str, Any] = json.loads(sent.body)
    metrics = document["metrics"]
    metrics["processor_temperature"] = round(metrics.pop("cpu_temp") + 273.15, 2)
    return Sent(sent.route, write(document | {"device_firmware_version": "4.1"}), "newer")


@contextlib.contextmanager
def released(injector: Injector, layer: Path | None, *verbs: str, variables: Mapping[str, str] = {}) -> Iterator[None]:
    """Deploy several functions on a release's layer."""
    with contextlib.ExitStack() as deployments:
        for verb in verbs:
            deployments.enter_context(injector.released(verb, layer, **variables))
        yield


def given_up(stack: Stack) -> list[Letter]:
    """The dead letters of what a consumer gave up."""
    return [letter for letter in stack.stores.letters() if letter.consumer in CONSUMERS]


def gaps(stack: Stack) -> int:
    """How many ranges of offsets are known to be missing in the numbers."""
    with psycopg.connect(stack["database"]) as connection:
        ((count,),) = connection.execute(GIVEN_UP).fetchall()
        return int(count)


def held(injector: Injector, verb: str) -> int:
    """How many batches of a consumer have held records so far."""
    return sum(records > 0 for records in injector.recorded(verb, "RecordsHeld"))


def check(stack: Stack, injector: Injector, ledger: Ledger, earlier: set[str]) -> Balance:
    """Prove that everything counts where it must, as if nothing had been given up, and that nothing ever halted."""
    stack.settle_numbers(readers=READERS)
    for verb in CONSUMERS:
        assert injector.recorded(verb, "QuarantineExceeded") == []
    assert {letter.fields["reason"] for letter in given_up(stack)} <= {"version_ahead"}
    assert gaps(stack) == 0
    found = stack.stores.read()
    ended = {letter.fields["letter_id"] for letter in given_up(stack)}
    return balance(
        ledger,
        replace(
            found,
            letters=[letter for letter in found.letters if letter.fields["letter_id"] not in ended],
            letters_sent=[
                (place, letter)
                for place, letter in found.letters_sent
                if letter is None or letter.fields["letter_id"] not in ended
            ],
        ),
        earlier,
    )


@pytest.mark.shows_fault(
    part="deployment",
    fault="consumers of the next release, ingest of this one",
    expected="everything works as usual",
)
def test_consumers_of_the_next_release_take_in_what_the_ingest_of_this_one_writes(
    stack: Stack, injector: Injector, following: Path, earlier: set[str]
) -> None:
    with released(injector, following, *UPDATED):
        ledger = post_settled(stack, load(seed=101, count=600, seconds=1))
        check(stack, injector, ledger, earlier)
    assert given_up(stack) == []


@pytest.mark.shows_fault(
    part="deployment",
    fault="ingest of the next release, consumers of this one",
    expected="an addition stops nothing; consumers hold a newer version until they are updated, and count it right",
)
@pytest.mark.shows_loss_path(
    fails="ingest writes a version that a consumer does not know yet",
    section="Between Kafka and the stores",
    event_is="in Kafka, held for ten minutes; then in the dead letters as `version_ahead`",
    told="`archive-version-ahead`, `aggregate-version-ahead`",
    comes_back="the updated consumer reads it; `sluice rerun` runs a dead letter again",
)
def test_what_the_ingest_of_the_next_release_writes_is_held_until_the_consumers_are_updated(
    stack: Stack, injector: Injector, adding: Path, following: Path, earlier: set[str]
) -> None:
    with released(injector, None, *CONSUMERS, variables=LONG):
        with released(injector, adding, "ingest"):
            # An addition alone stops nothing.
            ledgers = [post_settled(stack, load(seed=102, count=300, seconds=1))]
            stack.settle(READERS)
            ledgers.append(post_settled(stack, newer(seed=103, count=300)))
        with released(injector, following, "ingest"):
            ledgers.append(post_settled(stack, newer(seed=104, count=300)))
            # More often than a killer is tried together with its batch.
            before = {verb: held(injector, verb) for verb in CONSUMERS}
            for verb in CONSUMERS:
                wait_until(f"{verb} holds", lambda verb=verb: held(injector, verb) >= before[verb] + 5)  # type: ignore[misc]
                assert 0 < stack.unread(verb) <= 600
            assert given_up(stack) == []
            with released(injector, following, *UPDATED):
                check(stack, injector, merge(ledgers), earlier)
    assert given_up(stack) == []


@pytest.mark.shows_fault(
    part="deployment",
    fault="consumers are updated after the hold ends",
    expected="dead letters `version_ahead` without a halt; run again, each event counts once",
)
@pytest.mark.shows_loss_path(fails="ingest writes a version that a consumer does not know yet")
def test_what_is_not_read_in_time_is_a_dead_letter_without_a_halt_and_the_next_release_runs_it_again(
    stack: Stack, injector: Injector, following: Path, earlier: set[str]
) -> None:
    with released(injector, None, *CONSUMERS, variables=SHORT), released(injector, following, "ingest"):
        # Far more than the allowance for poison.
        ledger = post_settled(stack, newer(seed=105, count=600))
        stack.settle(READERS)
        letters = given_up(stack)
        places = {(letter.consumer, letter.place_in(RAW_EVENTS)) for letter in letters}
        accepted, unknown = sum(ledger.accepted.values()), sum(ledger.unknown.values())
        assert accepted == 600
        # An attempt without an answer may have stored its event.
        assert 2 * accepted <= len(places) <= 2 * (accepted + unknown)
        assert {letter.fields["reason"] for letter in letters} == {"version_ahead"}
        assert gaps(stack) > 0
        with released(injector, following, *UPDATED):
            for verb in CONSUMERS:
                for partition in {place.partition for consumer, place in places if place and consumer == verb}:
                    offsets = [place.offset for _, place in places if place and place.partition == partition]
                    rerun(injector, verb, partition, min(offsets), max(offsets) + 1)
            check(stack, injector, ledger, earlier)


def rerun(injector: Injector, consumer: str, partition: int, start: int | None, end: int) -> None:
    """Run records again through a consumer, as an operator does."""
    while start is not None:
        order = {"consumer": consumer, "partition": partition, "from": start, "to": end}
        done = injector.invoke("reconcile", {"rerun": order})
        if "busy" in done or not done:
            time.sleep(0.2)
            continue
        assert done["failed_at"] is None, done
        start = done["next"]


def merge(ledgers: list[Ledger]) -> Ledger:
    """Several ledgers merged."""
    whole = Ledger()
    for ledger in ledgers:
        whole.accepted += ledger.accepted
        whole.unknown += ledger.unknown
        whole.rejected |= ledger.rejected
        whole.no_events |= ledger.no_events
        whole.ids |= ledger.ids
    return whole
