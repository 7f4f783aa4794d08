"""The producer's answers, with the client replaced for the cases of misbehaving brokers."""

from collections.abc import Callable, Sequence

import pytest

from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.edge.broker import CONNECT_SECONDS, LEAVE_ALONE_SECONDS, TRIAL_SECONDS, Broker
from sluice.edge.kafka_client import Delivery, Unstored
from sluice.edge.settings import BrokerSettings

SETTINGS = BrokerSettings("127.0.0.1:1", "none", "us-east-1", 0.05)
MESSAGES = [Message("raw-events", b"k", b"%d" % number) for number in range(3)]

REFUSED = Unstored("not enough replicas")
SILENT = Unstored("no report within the deadline", answered=False)


class Client:
    """Reports what the test says, and takes a part of the time that it is given."""

    def __init__(self, reports: list[Delivery], part: float = 0.0) -> None:
        self.reports = reports
        self.now = 0.0
        self.waits: list[float] = []
        self.closed = False
        self._part = part

    def connect(self, topic: str, seconds: float) -> None:
        self.waits.append(seconds)
        if self.reports == [SILENT]:
            raise ConnectionError(topic)

    def store(self, messages: Sequence[Message], seconds: float) -> list[Delivery]:
        assert not self.closed
        self.waits.append(seconds)
        self.now += self._part * seconds
        return self.reports[: len(messages)]

    def place(self, messages: Sequence[Message], seconds: float) -> list[Origin | Unstored]:
        reports = self.store(messages, seconds)
        return [Origin("raw-events", 0, index) if one is None else one for index, one in enumerate(reports)]

    def close(self) -> None:
        self.closed = True


def broker(*clients: Client, clock: Callable[[], float] = lambda: 0.0) -> Broker:
    made = iter(clients)
    return Broker(SETTINGS, lambda _: next(made), clock)


def test_each_message_has_the_result_of_its_own_report() -> None:
    assert broker(Client([None, REFUSED, None])).store(MESSAGES) == [None, REFUSED, None]


def test_each_message_that_is_stored_has_its_place() -> None:
    first, second = Client([None, SILENT, None]), Client([None])
    works = broker(first, second)
    assert works.place(MESSAGES) == [Origin("raw-events", 0, 0), SILENT, Origin("raw-events", 0, 2)]
    # As after any record that was not stored.
    assert first.closed


@pytest.mark.shows_fault(part="producer", fault="fatal error", expected="the next request has a new producer")
@pytest.mark.parametrize("report", [REFUSED, SILENT])
def test_a_client_that_did_not_store_a_message_is_closed_and_replaced(report: Unstored) -> None:
    first, second = Client([None, report, None]), Client([None] * 3)
    works = broker(first, second)
    works.store(MESSAGES)
    assert first.closed
    assert works.store(MESSAGES) == [None] * 3
    assert not second.closed


def test_brokers_that_let_a_deadline_pass_are_left_alone_for_a_moment_and_asked_again_after_it() -> None:
    now = [0.0]
    first, second = Client([SILENT] * 3), Client([None] * 3)
    works = broker(first, second, clock=lambda: now[0])
    for _ in range(2):
        assert all(isinstance(delivery, Unstored) for delivery in works.store(MESSAGES))
    assert first.waits == [SETTINGS.produce_deadline_seconds]
    now[0] = LEAVE_ALONE_SECONDS
    assert works.store(MESSAGES) == [None] * 3
    works.store(MESSAGES[:1])
    assert second.waits == [TRIAL_SECONDS, SETTINGS.produce_deadline_seconds]


@pytest.mark.parametrize("reports", [[None, SILENT, None], [REFUSED] * 3])
def test_brokers_that_answered_are_not_left_alone(reports: list[Delivery]) -> None:
    works = broker(Client(reports), Client([None] * 3))
    works.store(MESSAGES)
    assert works.store(MESSAGES) == [None] * 3


def test_without_any_broker_everything_is_unstored_within_the_deadline() -> None:
    deliveries = Broker(SETTINGS).store(MESSAGES)
    assert all(isinstance(delivery, Unstored) for delivery in deliveries)


def slowness_of(reports: list[Delivery], part: float) -> float:
    """How slow producing is after some requests of the same kind."""
    clients = [Client(reports, part) for _ in range(6)]
    works = broker(*clients, clock=lambda: sum(client.now for client in clients))
    for _ in range(6):
        works.store(MESSAGES)
    return works.slowness()


def test_producing_is_as_slow_as_the_part_of_its_deadline_that_it_takes() -> None:
    assert broker(Client([])).slowness() == 0
    assert slowness_of([None] * 3, 0.02) < 0.03
    assert 0.7 < slowness_of([None] * 3, 0.9) < 0.9


def test_a_deadline_that_only_some_records_met_is_as_slow_as_can_be() -> None:
    assert slowness_of([None, SILENT, None], 1) > 0.8


def test_brokers_that_are_left_alone_are_not_called_slow() -> None:
    assert slowness_of([SILENT] * 3, 1) == 0


def test_a_client_that_connects_before_the_first_message_serves_it() -> None:
    (ahead,) = clients = [Client([None] * 3)]
    works = broker(*clients)
    works.connect("raw-events")
    assert works.store(MESSAGES) == [None] * 3
    assert ahead.waits == [CONNECT_SECONDS, SETTINGS.produce_deadline_seconds]


def test_brokers_that_do_not_answer_before_the_first_message_are_asked_again_by_it() -> None:
    silent, second = Client([SILENT]), Client([None] * 3)
    works = broker(silent, second)
    works.connect("raw-events")
    assert silent.closed
    assert works.store(MESSAGES) == [None] * 3


def test_a_client_that_breaks_is_closed_and_replaced() -> None:
    class Broken(Client):
        def store(self, *_: object) -> list[Delivery]:
            raise AssertionError("a partition that the client does not know")

    broken, second = Broken([]), Client([None] * 3)
    works = broker(broken, second)
    with pytest.raises(AssertionError):
        works.store(MESSAGES)
    assert broken.closed
    assert works.store(MESSAGES) == [None] * 3
