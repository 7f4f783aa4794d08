"""Broken brokers: only stored events are accepted, no request gets a 5xx, and no operator has to act."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cli.simulation.client import digest
from cli.simulation.devices import EVENTS, Fleet, Sent
from tests.faults.conftest import BROKERS, Injector, check, post_during, wait_until
from tests.flow.conftest import Stack
from tests.flow.http import post
from tests.support import samples


def load(seed: int, count: int, seconds: float) -> Iterator[list[Sent]]:
    """Batches of good events, spread over some seconds so that the fault falls among them."""
    fleet = Fleet(seed, devices=100, clock=lambda: datetime.now(UTC))
    for _ in range(count // 50):
        yield [fleet.good_event(EVENTS) for _ in range(50)]
        time.sleep(seconds / (count // 50))


@pytest.mark.shows_fault(part="Kafka", fault="a broker restarts", expected="no 5xx, nothing is lost")
def test_a_broker_killed_during_load_loses_nothing_and_answers_no_5xx(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    thread, ledgers = post_during(stack, load(seed=11, count=3000, seconds=12))
    time.sleep(3)
    victim = injector.pid("kafka-2")
    injector.kill("kafka-2")
    thread.join()
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) == 3000
    assert set(ledger.statuses) <= {202, 207, 429}
    wait_until("the killed broker is back", lambda: injector.pid("kafka-2") != victim)
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(part="Kafka", fault="disks full", expected="nothing is accepted meanwhile, nothing is lost")
@pytest.mark.shows_loss_path(fails="brokers away, frozen, full, or too few of them in sync")
def test_brokers_whose_disks_are_full_accept_nothing_and_lose_nothing(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    thread, ledgers = post_during(stack, load(seed=14, count=1500, seconds=5))
    time.sleep(1.5)
    victims = {broker: injector.pid(broker) for broker in BROKERS}
    with injector.full_disk(*BROKERS):
        # A broker that cannot write ends itself. Until then it acknowledged nothing.
        wait_until("no broker is what it was", lambda: all(injector.pid(one) != pid for one, pid in victims.items()))
    thread.join()
    (ledger,) = ledgers
    assert ledger.unknown
    assert sum(ledger.accepted.values()) == 1500
    assert set(ledger.statuses) <= {202, 207, 429}
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(part="producer", fault="connections reset", expected="nothing is lost or doubled")
def test_connections_to_the_brokers_that_are_reset_lose_nothing_and_double_nothing(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    thread, ledgers = post_during(stack, load(seed=15, count=1500, seconds=8))
    for broker in BROKERS:
        time.sleep(2)
        assert injector.cut(broker) > 0
    thread.join()
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) == 1500
    assert set(ledger.statuses) <= {202, 207, 429}
    check(stack, ledger, earlier)


@pytest.mark.shows_fault(
    part="producer",
    fault="brokers frozen",
    expected="429; nothing is accepted without its delivery report, and nothing counts twice",
)
@pytest.mark.shows_loss_path(
    fails="brokers away, frozen, full, or too few of them in sync",
    section="Before it is accepted",
    event_is="with the device, answered `retry`",
    told="`ingest-unstored`, `stream-offline`, `stream-disk`",
    comes_back="sent again after `Retry-After`",
)
def test_all_brokers_frozen_during_load_accept_nothing_and_continue_afterwards(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    event = samples.read_bytes("telemetry-v1.json")
    thread, ledgers = post_during(stack, load(seed=12, count=3000, seconds=8))
    time.sleep(2)
    with injector.frozen(*BROKERS):
        time.sleep(1)
        status, headers, body = post(stack, "/v1/events", event)
        assert status == 429
        assert int(headers["retry-after"]) >= 1
        assert [result["status"] for result in body["results"]] == ["retry"]
        time.sleep(5)
    thread.join()
    (ledger,) = ledgers
    assert ledger.unknown
    assert sum(ledger.accepted.values()) == 3000
    assert set(ledger.statuses) <= {202, 207, 429}
    check(stack, ledger, earlier)
    wait_until("events are accepted again", lambda: post(stack, "/v1/events", event)[0] == 202)


@pytest.mark.shows_fault(part="producer", fault="brokers frozen")
def test_many_callers_at_once_all_get_retry_while_the_brokers_are_frozen(stack: Stack, injector: Injector) -> None:
    event = samples.read_bytes("telemetry-v1.json")
    with injector.frozen(*BROKERS):
        answers: list[int] = []
        callers = [
            threading.Thread(target=lambda: answers.append(post(stack, "/v1/events", event)[0])) for _ in range(60)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert Counter(answers) == {429: 60}
    wait_until("events are accepted again", lambda: post(stack, "/v1/events", event)[0] == 202)


@pytest.mark.shows_fault(part="Kafka", fault="fewer replicas in sync than promised", expected="nothing is accepted")
@pytest.mark.shows_loss_path(fails="brokers away, frozen, full, or too few of them in sync")
def test_with_fewer_replicas_than_promised_nothing_is_accepted(stack: Stack, injector: Injector) -> None:
    event = samples.read_bytes("telemetry-v2.json")
    with injector.frozen("kafka-1", "kafka-2"):
        answers = [post(stack, "/v1/events", event) for _ in range(3)]
    assert {status for status, _, _ in answers} == {429}
    wait_until("events are accepted again", lambda: post(stack, "/v1/events", event)[0] == 202)


@pytest.mark.shows_fault(part="producer", fault="brokers frozen")
@pytest.mark.shows_loss_path(
    fails="its dead letter cannot be written",
    section="Before it is accepted",
    event_is="with the device, answered `retry` and not `rejected`",
    told="`ingest-unstored`",
    comes_back="sent again",
)
def test_bad_events_during_the_fault_are_not_called_rejected_before_their_letters_are_stored(
    stack: Stack, injector: Injector
) -> None:
    bad = samples.read_bytes("telemetry-invalid.json")
    with injector.frozen(*BROKERS):
        status, _, body = post(stack, "/v1/events", bad)
    assert (status, body["results"][0]["status"]) == (429, "retry")
    wait_until("the event is rejected again", lambda: post(stack, "/v1/events", bad)[0] == 400)


@pytest.mark.shows_fault(
    part="ingest", fault="its process killed", expected="unknown to the client; a retry leaves one event"
)
@pytest.mark.shows_loss_path(fails="the device gets no answer: a connection, the gateway, a killed process")
def test_a_killed_ingest_worker_leaves_its_request_unknown_and_a_retry_settles_it(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    thread, ledgers = post_during(stack, load(seed=13, count=2000, seconds=6))
    for _ in range(3):
        time.sleep(1)
        for pid in injector.workers("ingest")[:1]:
            os.kill(pid, signal.SIGKILL)
    thread.join()
    (ledger,) = ledgers
    assert sum(ledger.accepted.values()) == 2000
    check(stack, ledger, earlier)


# The request that the gateway waits for is stored already.
LATE_ANSWER = """
import time

answer_at_once = handler


def handler(event, context):
    answer = answer_at_once(event, context)
    time.sleep(5)
    return answer
"""


@pytest.mark.shows_fault(
    part="API",
    fault="killed after storing, before answering",
    expected="unknown to the client; a retry leaves one event",
)
@pytest.mark.shows_loss_path(
    fails="the device gets no answer: a connection, the gateway, a killed process",
    section="Before it is accepted",
    event_is="with the device, and perhaps stored as well",
    told="`api-failures`",
    comes_back="the device sends it again; what is stored twice counts once",
)
def test_an_api_that_dies_between_storing_and_answering_leaves_the_event_unknown_and_a_retry_settles_it(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    fleet = Fleet(16, devices=10, clock=lambda: datetime.now(UTC))
    batch = [fleet.good_event(EVENTS) for _ in range(20)]
    wanted = {digest(sent.body) for sent in batch}
    with injector.deployed("ingest", LATE_ANSWER):
        thread, ledgers = post_during(stack, iter([batch]))
        wait_until("the events are stored", lambda: wanted <= stack.stores.contents())
        injector.crash("http_api")
    thread.join()
    (ledger,) = ledgers
    assert ledger.statuses[0] == 1
    assert set(ledger.unknown) == set(ledger.accepted) == wanted
    before = check(stack, ledger, earlier)
    stored = Counter(row.sha256 for row in stack.stores.rows())
    assert {stored[sha256] for sha256 in wanted} == {2}, "the retry came to nothing new"
    assert before.duplicate >= len(batch)
