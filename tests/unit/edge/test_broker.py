"""The producer's answers, with librdkafka replaced for the cases of a misbehaving broker."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sluice.core.messages import Message
from sluice.edge.broker import LEAVE_ALONE_SECONDS, PROBE_SECONDS, Broker, Unstored
from sluice.edge.settings import BrokerSettings

SETTINGS = BrokerSettings("127.0.0.1:1", "none", "us-east-1", 0.05)
MESSAGES = [Message("raw-events", b"k", b"%d" % number) for number in range(3)]


SILENT = object()


class Producer:
    """Delivers the test's reports, at the test's times."""

    def __init__(self, reports: list[Any]) -> None:
        self.reports = reports
        self.callbacks: list[Callable[[Any, Any], None]] = []
        self.purged = False
        self.flushes: list[float] = []

    def answer_from_now(self, reports: list[Any]) -> None:
        self.reports, self.callbacks, self.purged = reports, [], False

    def produce(self, _topic: str, on_delivery: Callable[[Any, Any], None], **_: Any) -> None:
        report = self.reports[len(self.callbacks)]
        if isinstance(report, Exception):
            self.callbacks.append(lambda *_: None)
            raise report
        self.callbacks.append(on_delivery)

    def flush(self, seconds: float) -> int:
        self.flushes.append(seconds)
        left = 0
        for callback, report in zip(self.callbacks, self.reports, strict=False):
            if report is SILENT and not self.purged:
                left += 1
            elif not isinstance(report, Exception):
                callback(KafkaError(KafkaError._PURGE_INFLIGHT) if report is SILENT else report, None)
        return left

    def purge(self) -> None:
        self.purged = True


def broker(*producers: Producer, clock: Callable[[], float] = lambda: 0.0) -> Broker:
    made = iter(producers)
    return Broker(SETTINGS, lambda _: next(made), clock)  # type: ignore[arg-type,return-value]  # stands in for librdkafka's


def test_each_message_has_the_result_of_its_own_report() -> None:
    refused = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS)
    deliveries = broker(Producer([None, refused, None])).store(MESSAGES)
    assert [delivery is None for delivery in deliveries] == [True, False, True]


def test_a_record_is_acknowledged_by_all_replicas_in_sync_and_stored_once() -> None:
    configs: list[dict[str, Any]] = []

    def make(config: dict[str, Any]) -> Producer:
        configs.append(config)
        return Producer([None] * len(MESSAGES))

    Broker(SETTINGS, make).store(MESSAGES)  # type: ignore[arg-type]  # stands in for librdkafka's
    (config,) = configs
    assert (config["acks"], config["enable.idempotence"]) == ("all", True)


@pytest.mark.shows_loss_path(
    fails="a record's report does not come in time",
    section="Before it is accepted",
    event_is="perhaps in Kafka; answered `retry`",
    told="`ingest-unstored`",
    comes_back="sent again; the first copy counts",
)
def test_what_has_no_report_by_the_deadline_is_purged_and_not_stored_for_all_we_know() -> None:
    producer = Producer([None, SILENT, None])
    deliveries = broker(producer).store(MESSAGES)
    assert producer.purged
    assert isinstance(deliveries[1], Unstored)
    assert (deliveries[0], deliveries[2]) == (None, None)


def test_what_no_report_ever_comes_of_is_not_stored_for_all_we_know(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = Producer([SILENT, SILENT, SILENT])
    monkeypatch.setattr(producer, "purge", lambda: None)
    assert None not in broker(producer).store(MESSAGES)


@pytest.mark.parametrize("error", [BufferError(), KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))])
def test_a_message_the_producer_does_not_take_harms_no_neighbour(error: Exception) -> None:
    deliveries = broker(Producer([None, error, None])).store(MESSAGES)
    assert [delivery is None for delivery in deliveries] == [True, False, True]


@pytest.mark.shows_fault(part="producer", fault="fatal error", expected="the next request has a new producer")
def test_a_fatal_error_makes_the_next_request_start_a_new_producer() -> None:
    fatal = KafkaError(KafkaError._FATAL, "lost its place", True)
    works = broker(Producer([fatal] * 3), Producer([None] * 3))
    assert all(isinstance(delivery, Unstored) for delivery in works.store(MESSAGES))
    assert works.store(MESSAGES) == [None] * 3


def test_brokers_that_let_a_deadline_pass_are_left_alone_for_a_moment_and_asked_again_after_it() -> None:
    now = [0.0]
    producer = Producer([SILENT] * 3)
    works = broker(producer, clock=lambda: now[0])
    assert all(isinstance(delivery, Unstored) for delivery in works.store(MESSAGES))
    assert all(isinstance(delivery, Unstored) for delivery in works.store(MESSAGES))
    assert producer.flushes == [SETTINGS.produce_deadline_seconds, 0]
    now[0] = LEAVE_ALONE_SECONDS
    producer.answer_from_now([None] * 3)
    assert works.store(MESSAGES) == [None] * 3
    assert producer.flushes[2:] == [PROBE_SECONDS]
    works.store(MESSAGES[:0])
    assert producer.flushes[3:] == [SETTINGS.produce_deadline_seconds]


def test_a_deadline_that_some_records_met_is_no_reason_to_leave_the_brokers_alone() -> None:
    producer = Producer([None, SILENT, None])
    works = broker(producer)
    works.store(MESSAGES)
    producer.answer_from_now([None] * 3)
    assert works.store(MESSAGES) == [None] * 3


def test_without_any_broker_everything_is_unstored_within_the_deadline() -> None:
    deliveries = Broker(SETTINGS).store(MESSAGES)
    assert all(isinstance(delivery, Unstored) for delivery in deliveries)


class Slow(Producer):
    """A producer whose flushes take part of the deadline; each is asked for the same again."""

    def __init__(self, reports: list[Any], part: float) -> None:
        super().__init__(reports)
        self.now = 0.0
        self._part = part

    def flush(self, seconds: float) -> int:
        # The second flush of a request only serves what was purged.
        self.now += self._part * seconds
        left = super().flush(seconds)
        if left == 0:
            self.answer_from_now(self.reports)
        return left


def slowness_of(reports: list[Any], part: float) -> float:
    """How slow producing is after some requests of the same kind."""
    producer = Slow(reports, part)
    works = broker(producer, clock=lambda: producer.now)
    for _ in range(6):
        works.store(MESSAGES)
    return works.slowness()


def test_producing_is_as_slow_as_the_part_of_its_deadline_that_it_takes() -> None:
    assert broker(Producer([])).slowness() == 0
    assert slowness_of([None] * 3, 0.02) < 0.03
    assert 0.7 < slowness_of([None] * 3, 0.9) < 0.9


def test_a_deadline_that_only_some_records_met_is_as_slow_as_can_be() -> None:
    assert slowness_of([None, SILENT, None], 1) > 0.8


def test_brokers_that_are_left_alone_are_not_called_slow() -> None:
    assert slowness_of([SILENT] * 3, 1) == 0
