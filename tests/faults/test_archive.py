"""Broken delivery, dying workers and poison: every accepted event still becomes a row."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from cli.simulation.client import digest
from cli.simulation.devices import EVENTS, Fleet, Sent
from tests.faults.conftest import Injector, check, letters, post_settled, wait_until
from tests.flow.conftest import Stack
from tests.support import samples


def good_batches(seed: int, count: int) -> Iterator[list[Sent]]:
    fleet = Fleet(seed, devices=300, clock=lambda: datetime.now(UTC))
    for _ in range(count // 50):
        yield [fleet.good_event(EVENTS) for _ in range(50)]


@pytest.mark.shows_fault(
    part="Firehose",
    fault="partial failure, and answers lost after the records were taken",
    expected="only what was refused is sent again; copies have one place",
)
@pytest.mark.shows_loss_path(
    fails="Firehose refuses some rows, all, or does not answer",
    section="Between Kafka and the stores",
    event_is="in Kafka",
    told="`archive-retrying`, `archive-late`",
    comes_back="only what was refused is sent again",
)
def test_ten_thousand_events_survive_partial_failures_lost_answers_and_killed_workers(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    with (
        injector.faulty_delivery(refuse_share=0.3, lose_answer_share=0.1, seed=5),
        injector.killing_workers("archive", every_seconds=1, seed=5) as killed,
    ):
        ledger = post_settled(stack, good_batches(21, 10_000))
        wait_until("workers died at their work", lambda: len(killed) >= 3)
    assert sum(ledger.accepted.values()) == 10_000
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(
    part="consumer",
    fault="poison first, in the middle, last",
    expected="its neighbours are processed; the poison is in the dead letters with its bytes",
)
@pytest.mark.shows_loss_path(
    fails="a record cannot be read",
    section="Between Kafka and the stores",
    event_is="in the dead letters with its bytes",
    told="no one, within the allowance",
    comes_back="its neighbours are processed",
)
def test_poison_among_good_events_becomes_dead_letters_with_its_bytes(stack: Stack, earlier: set[str]) -> None:
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    ours = f'[1,"{moment}","demo","telemetry",1,[],"c"]'.encode()
    unheard = ours.replace(b"telemetry", b"unheard")
    event = samples.read_bytes("telemetry-v1.json")
    poison: list[tuple[bytes | None, bytes]] = [
        (b"\x00\xff not an event", b"\xff"),
        (b'{"half": ', ours),
        (b"{}", ours),
        (None, ours),
        (event, b"[2]"),
        (event, unheard),
        (event[:-1] + b',"diagnostics":{"x":"\xff"}}', ours),
        (event[:-1] + b" " * 200_000 + b"}", ours),
        (event, ours.replace(b",1,[]", b",%d,[]" % 2**40)),
    ]
    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    for number, (value, envelope) in enumerate(poison):
        headers: list[tuple[str, str | bytes | None]] = [("trace", "é".encode()), ("sluice", envelope)]
        producer.produce("raw-events", key=b"press-00001", value=value, headers=headers, partition=number)
    assert producer.flush(30) == 0
    ledger = post_settled(stack, good_batches(22, 1000))
    assert sum(ledger.accepted.values()) == 1000

    def buried() -> bool:
        return len([letter for letter in letters(stack) if letter["consumer"] == "archive"]) >= len(poison)

    wait_until("the poison is in the dead letters", buried)
    found = [letter for letter in letters(stack) if letter["consumer"] == "archive"]
    kept = [
        letter.get("event") or base64.b64decode(letter.get("event_base64", "")).decode("latin-1") for letter in found
    ]
    assert set(kept) == {(value or b"")[: 64 * 1024].decode("latin-1") for value, _ in poison}
    # A later release may know the contract; no release can read the other records.
    assert {letter["kafka_partition"]: letter["reason"] for letter in found} == {
        number: "version_ahead" if envelope == unheard else "poison_record"
        for number, (_, envelope) in enumerate(poison)
    }
    assert all(letter["kafka_topic"] == "raw-events" and letter["kafka_offset"] >= 0 for letter in found)
    earlier |= {digest(value or b"") for value, _ in poison}
    check(stack, ledger, earlier)


def test_records_that_are_not_dead_letters_are_kept_too(stack: Stack) -> None:
    producer = Producer({"bootstrap.servers": stack["broker"], "acks": "all"})
    for value in (None, b"\xff no letter", b"[]"):
        producer.produce("dead-letter", value=value, headers=[("trace", "é".encode())], partition=0)
    assert producer.flush(30) == 0

    def kept() -> bool:
        return len([letter for letter in letters(stack) if letter["reason"] == "unreadable_letter"]) == 3

    wait_until("what is no letter is kept", kept)


@pytest.mark.shows_loss_path(
    fails="it breaks its contract",
    section="Before it is accepted",
    event_is="in the dead letters, before it is answered",
    told="no one; the answer names the rule",
    comes_back="the sender fixes it",
)
def test_every_rejected_event_is_in_the_dead_letters_and_queried_by_its_reason(stack: Stack) -> None:
    fleet = Fleet(23, devices=50, clock=lambda: datetime.now(UTC))
    events = [fleet.event() for _ in range(2000)]
    bad = [sent for sent in events if sent.kind in ("unknown_firmware", "invalid")]
    assert bad
    ledger = post_settled(stack, [bad[at : at + 20] for at in range(0, len(bad), 20)])
    assert len(ledger.rejected) == len(bad)

    def buried() -> bool:
        return {sent.body.decode() for sent in bad} <= {letter.get("event") for letter in letters(stack)}

    wait_until("every rejected event has its letter", buried)
    today = datetime.now(UTC).date().isoformat()
    header, *rows = stack.query("--name", "dead_letters_by_reason", today, "2100-01-01")
    counts = {row[header.index("reason")]: int(row[header.index("letters")]) for row in rows}
    kinds = {"unknown_firmware": "unknown_firmware", "invalid": "contract_violation"}
    for kind, reason in kinds.items():
        assert counts[reason] >= sum(sent.kind == kind for sent in bad)
