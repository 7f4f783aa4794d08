"""The simulated parts follow the rules that the real or modelled ones must follow."""

from typing import cast

import pytest
from botocore.exceptions import ClientError

from sluice.core.messages import Message
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.cache import Cache
from tests.simulation.broker import Brokers, SimulatedProducer
from tests.simulation.cache import SimulatedCache
from tests.simulation.faults import KILLED_BEFORE, Fault, Faults, Place
from tests.simulation.object_store import ObjectStore
from tests.simulation.timeline import BEGINS, Timeline
from tests.simulation.world import World
from tests.support.attempts import AttemptsContract


def healthy() -> World:
    """A world in which nothing fails."""
    return World("test", Faults(World("test", cast("Faults", None)).chance("faults"), over=True))


class TestCache(AttemptsContract):
    """The simulated cache under the rules for every store of what consumers share."""

    @pytest.fixture
    def cache(self) -> Cache:
        simulated = SimulatedCache(healthy())
        return Cache(lambda: cast("object", simulated))  # type: ignore[arg-type, return-value]


def test_tasks_run_in_the_order_of_their_times_and_wait_for_each_other() -> None:
    timeline, said = Timeline(), list[str]()

    def slow() -> str:
        timeline.sleep(5)
        said.append(f"slow {timeline.passed:g}")
        return "value"

    def waiting() -> None:
        said.append(f"waits {timeline.passed:g}")
        said.append(f"{timeline.spawn('slow', slow).join()} {timeline.passed:g}")

    timeline.spawn("waiting", waiting, after=1)
    timeline.spawn("later", lambda: said.append(f"later {timeline.passed:g}"), after=2)
    assert timeline.run(lambda: len(said) == 4, 60)
    assert said == ["waits 1", "later 2", "slow 6", "value 6"]
    assert (timeline.now() - BEGINS).total_seconds() == 6


def test_time_goes_on_without_tasks_and_a_condition_that_does_not_come_true_is_said() -> None:
    timeline = Timeline()
    assert not timeline.run(lambda: False, 60)
    assert timeline.passed == 60


def test_brokers_keep_each_key_on_its_partition_and_number_the_records() -> None:
    brokers = Brokers(healthy())
    producer = SimulatedProducer(brokers)
    messages = [Message("raw-events", b"press-1", b"%d" % number, ()) for number in range(3)]
    assert producer.store(messages, 1.0) == [None] * 3
    (log,) = [log for log in brokers.topics["raw-events"] if log]
    assert [(record.offset, record.value) for record in log] == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert brokers.unread("archive", "raw-events") == 3


def test_an_object_is_replaced_only_by_who_knows_it_and_is_read_by_range() -> None:
    store = ObjectStore(healthy())
    bucket = Bucket(store, "raw")
    assert bucket.replace("a", b"0123456789", None)
    assert not bucket.replace("a", b"other", None)
    found = bucket.find("a")
    assert found is not None
    assert bucket.get_changed("a", found[1]) is None
    assert not bucket.replace("a", b"other", '"wrong"')
    assert bucket.get_range("a", "-3") == (b"789", 10)
    file = StoredFile(bucket, "a", tail=4)
    assert (file.read(3), file.read(-1)) == (b"012", b"3456789")
    assert bucket.find("b") is None
    assert list(bucket.list_pages("")) == [{"a": found[1]}]
    with pytest.raises(ClientError):
        store.get_object(Bucket="raw", Key="a", Range="bytes=10-12")


def test_written_faults_happen_where_they_are_written_and_nowhere_else() -> None:
    place = Place("archive", 2, 5)
    faults = Faults(healthy().chance("faults"), written={place: KILLED_BEFORE})
    assert faults.at(Place("archive", 2, 4), "cache", "get", [KILLED_BEFORE]) is None
    assert faults.at(place, "cache", "get", [KILLED_BEFORE]) == KILLED_BEFORE
    assert faults.happened == [Fault(place, KILLED_BEFORE)]
