"""What any client for producing must keep to, on real brokers: ours, and librdkafka, which may replace it."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count

import pytest

from bench.librdkafka import LibrdkafkaClient
from sluice.core.messages import Message
from sluice.core.records import Origin
from sluice.edge.broker import Broker, Client
from sluice.edge.kafka_client import KafkaClient, Unstored
from sluice.edge.settings import BrokerSettings
from tests.local.brokers import ENOUGH_SECONDS, TOKEN_SECONDS, Brokers, Signer, running

SHORT_SECONDS = 2.0
DEADLINE_SECONDS = 5

CLIENTS: dict[str, Callable[[str], Client]] = {"ours": KafkaClient, "librdkafka": LibrdkafkaClient}


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    with running(tmp_path_factory.mktemp("brokers")) as brokers:
        yield brokers


@pytest.fixture(params=CLIENTS)
def make(request: pytest.FixtureRequest) -> Callable[[str], Client]:
    return CLIENTS[request.param]


def messages(topic: str, name: str, number: int = 60, size: int = 100) -> list[Message]:
    """Messages of some devices, each with a value of its own."""
    return [
        Message(topic, b"device-%d" % (index % 17), b"%s-%05d" % (name.encode(), index) + b" " * size, (("h", b"1"),))
        for index in range(number)
    ]


def test_where_a_record_is_stored_is_reported(brokers: Brokers, make: Callable[[str], Client]) -> None:
    topic = brokers.make_topic()
    sent = [*messages(topic, "first"), *messages(topic, "second")]
    with closing(make(brokers.bootstrap)) as client:
        places = [*client.place(sent[:60], ENOUGH_SECONDS), *client.place(sent[60:], ENOUGH_SECONDS)]
    found = brokers.read(topic)
    # No transaction marker lies between: a record's offset is its place in what is read.
    for message, place in zip(sent, places, strict=True):
        assert isinstance(place, Origin)
        assert place.topic == topic
        assert found[place.partition][place.offset] == (message.key, message.value)


def values(found: dict[int, list[tuple[bytes, bytes]]]) -> Counter[bytes]:
    return Counter(value for records in found.values() for _, value in records)


def test_what_is_reported_as_stored_is_stored_once_and_each_device_keeps_its_order(
    brokers: Brokers, make: Callable[[str], Client]
) -> None:
    topic = brokers.make_topic()
    sent = [messages(topic, name) for name in ("a", "b", "c")]
    with closing(make(brokers.bootstrap)) as client:
        client.connect(topic, ENOUGH_SECONDS)
        for batch in sent:
            assert client.store(batch, ENOUGH_SECONDS) == [None] * len(batch)
    found = brokers.read(topic)
    assert values(found) == Counter(message.value for batch in sent for message in batch)
    for device in {message.key for message in sent[0]}:
        stored = [[value for key, value in records if key == device] for records in found.values()]
        assert [one for one in stored if one] == [[m.value for batch in sent for m in batch if m.key == device]]


def test_every_client_puts_a_device_on_the_same_partition(brokers: Brokers) -> None:
    topic = brokers.make_topic()
    sent = [Message(topic, b"device/%d" % number, b"v") for number in range(200)]
    places = []
    for number, make in enumerate(CLIENTS.values(), 1):
        with closing(make(brokers.bootstrap)) as client:
            assert client.store(sent, ENOUGH_SECONDS) == [None] * len(sent)
        found = brokers.read(topic)
        assert all(times == number for times in Counter(key for one in found.values() for key, _ in one).values())
        places.append({key: partition for partition, records in found.items() for key, _ in records})
    assert places[0] == places[1]


def test_more_than_a_batch_holds_is_stored_in_order(brokers: Brokers, make: Callable[[str], Client]) -> None:
    topic = brokers.make_topic()
    sent = [Message(topic, b"one", b"%05d" % number + os.urandom(100_000)) for number in range(40)]
    with closing(make(brokers.bootstrap)) as client:
        assert client.store(sent, ENOUGH_SECONDS) == [None] * len(sent)
    (records,) = (records for records in brokers.read(topic).values() if records)
    assert [value for _, value in records] == [message.value for message in sent]


def test_a_message_that_the_brokers_refuse_has_its_own_report(brokers: Brokers, make: Callable[[str], Client]) -> None:
    topic = brokers.make_topic()
    good = messages(topic, "good", number=17)
    large = Message(topic, b"large", os.urandom(3_000_000))
    with closing(make(brokers.bootstrap)) as client:
        *reports, refused = client.store([*good, large], ENOUGH_SECONDS)
    assert refused is not None
    stored = values(brokers.read(topic))
    # It takes those along that share its request at most, and says so.
    assert {message.value for message, report in zip(good, reports, strict=True) if report is None} == stored.keys()
    assert stored


@pytest.mark.shows_loss_path(
    fails="a record's report does not come in time",
    section="Before it is accepted",
    event_is="perhaps in Kafka; answered `retry`",
    told="`ingest-unstored`",
    comes_back="sent again; the first copy counts",
)
def test_silent_brokers_let_the_deadline_pass_and_nothing_is_sent_after_it(
    brokers: Brokers, make: Callable[[str], Client]
) -> None:
    topic = brokers.make_topic()
    with closing(make(brokers.bootstrap)) as connected:
        assert connected.store(messages(topic, "before"), ENOUGH_SECONDS) == [None] * 60
        with brokers.frozen():
            on_the_wire = connected.store(messages(topic, "wire"), SHORT_SECONDS)
            with closing(make(brokers.bootstrap)) as fresh:
                with pytest.raises(ConnectionError):
                    fresh.connect(topic, SHORT_SECONDS)
                unsent = fresh.store(messages(topic, "unsent"), SHORT_SECONDS)
        assert all(report is not None and not report.answered for report in [*on_the_wire, *unsent])
    with closing(make(brokers.bootstrap)) as client:
        _wait_until(lambda: client.store(messages(topic, "after"), ENOUGH_SECONDS) == [None] * 60)
    # Longer than a client that had kept something would wait before it tries again.
    time.sleep(2 * SHORT_SECONDS)
    stored = Counter(value.split(b"-")[0] for value in values(brokers.read(topic)).elements())
    assert stored[b"unsent"] == 0
    assert stored[b"wire"] <= 60
    assert (stored[b"before"], stored[b"after"] % 60) == (60, 0)


@pytest.mark.shows_fault(part="producer", fault="one broker frozen", expected="new clients store with the others")
def test_a_frozen_broker_does_not_keep_new_clients_from_the_others(brokers: Brokers) -> None:
    topic, names = brokers.make_topic(), count()

    def store_anew() -> bool:
        with closing(KafkaClient(brokers.bootstrap)) as client:
            # Several of a client's steps may meet the frozen broker; without a limit, one of them takes 40 s.
            return client.store(messages(topic, str(next(names))), ENOUGH_SECONDS) == [None] * 60

    with brokers.frozen(1):
        # The others take its partitions over after some seconds; its address stays.
        _wait_until(store_anew)
        assert [store_anew() for _ in range(6)] == [True] * 6
    assert max(values(brokers.read(topic)).values()) == 1


def test_brokers_that_are_killed_are_found_again(brokers: Brokers, make: Callable[[str], Client]) -> None:
    topic = brokers.make_topic()
    stored = Counter[bytes]()
    names = count()

    def store(client: Client) -> bool:
        batch = messages(topic, str(next(names)))
        reports = client.store(batch, ENOUGH_SECONDS)
        stored.update(message.value for message, report in zip(batch, reports, strict=True) if report is None)
        return reports == [None] * len(batch)

    def store_anew() -> bool:
        with closing(make(brokers.bootstrap)) as client:
            return store(client)

    with closing(make(brokers.bootstrap)) as client:
        assert store(client)
        with brokers.one_killed():
            if not store(client):
                _wait_until(store_anew)
    assert stored.keys() <= values(brokers.read(topic)).keys()
    assert max(values(brokers.read(topic)).values()) == 1


@pytest.mark.shows_fault(
    part="producer",
    fault="token expired",
    expected="a new one is signed and no client notices; without a valid one, nothing is acknowledged or accepted",
)
def test_expired_tokens_are_replaced_under_load_and_without_a_valid_one_nothing_is_accepted(brokers: Brokers) -> None:
    topic, signer, names = brokers.make_topic(), Signer(), count()
    accepted = Counter[bytes]()
    clients = ExitStack()

    def connect(settings: BrokerSettings) -> KafkaClient:
        clients.pop_all()  # the one before was closed when it failed
        return clients.enter_context(closing(KafkaClient(settings.kafka_bootstrap, signer.sign, "SASL_PLAINTEXT")))

    ours = Broker(BrokerSettings(brokers.guarded, "iam", "us-east-1", DEADLINE_SECONDS), connect)

    def store() -> int:
        batch = messages(topic, str(next(names)))
        stored = [one.value for one, report in zip(batch, ours.store(batch), strict=True) if report is None]
        accepted.update(stored)
        return len(stored)

    with clients:
        # Longer than a token is valid and than a session may last.
        end = time.monotonic() + 3 * TOKEN_SECONDS
        while time.monotonic() < end:
            assert store() == 60
        assert signer.tokens > 2
        signer.seconds = -1
        _wait_until(lambda: store() == 0)
        assert [store() for _ in range(3)] == [0, 0, 0]
        signer.seconds = TOKEN_SECONDS
        _wait_until(lambda: store() == 60)
    stored = values(brokers.read(topic))
    assert accepted.keys() <= stored.keys()
    assert max(stored.values()) == 1


@pytest.mark.shows_fault(
    part="producer",
    fault="no token can be signed",
    expected="nothing is stored and nothing raised, neither before the first request nor for one; then as before",
)
def test_without_a_signed_token_every_message_is_unstored_and_nothing_is_raised(brokers: Brokers) -> None:
    topic, signer, clients = brokers.make_topic(), Signer(), ExitStack()
    signing = False

    def sign() -> str:
        if not signing:
            raise RuntimeError("no credentials")
        return signer.sign()

    def connect(settings: BrokerSettings) -> KafkaClient:
        clients.pop_all()  # the one before was closed when it failed
        return clients.enter_context(closing(KafkaClient(settings.kafka_bootstrap, sign, "SASL_PLAINTEXT")))

    ours = Broker(BrokerSettings(brokers.guarded, "iam", "us-east-1", SHORT_SECONDS), connect)
    with clients:
        ours.connect(topic)  # as ingest does while Lambda initializes it
        for _ in range(2):
            assert all(isinstance(one, Unstored) for one in ours.store(messages(topic, "unsigned")))
        signing = True
        _wait_until(lambda: ours.store(messages(topic, "signed")) == [None] * 60)
    assert not any(value.startswith(b"unsigned") for value in values(brokers.read(topic)))


def _wait_until(true: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
