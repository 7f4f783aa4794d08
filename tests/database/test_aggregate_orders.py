"""The set of samples is a function of the events, however they are cut into batches, repeated and redelivered."""

import itertools
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.core.samples.shards import shard_of
from tests.database.aggregating import Processes, Sent, Tables, now, read
from tests.database.server import Databases

PARTITIONS = 2
MINUTE = timedelta(minutes=1)
NUMBERS = itertools.count()

# Around every border there is: the clocks' limits, the minute, and the same moment.
AGES = [-300, -90, -6, -5, -4, 0, 1, 30, 59, 60, 61, 200]


@st.composite
def streams(draw: st.DrawFn) -> list[list[Sent]]:
    """What devices send, by partition: few devices and few ids, so that most of it comes more than once."""
    start, length = now() - timedelta(minutes=61), draw(st.integers(1, 14))
    partitions: list[list[Sent]] = [[] for _ in range(PARTITIONS)]
    for number in range(length):
        device = draw(st.integers(0, 3))
        sent = partitions[device % PARTITIONS]
        # Received in the order of the stream, or a little out of it.
        received = start + timedelta(minutes=60 * number / length, seconds=draw(st.integers(-200, 200)))
        again = draw(st.integers(0, 3))
        if sent and again == 3:
            # The same event once more, byte for byte.
            sent.append(replace(draw(st.sampled_from(sent)), offset=len(sent), received_at=received))
            continue
        sent.append(
            Sent(
                offset=len(sent),
                event_time=received - draw(st.sampled_from(AGES)) * MINUTE - timedelta(seconds=draw(st.integers(0, 1))),
                received_at=received,
                device_id=f"device-{device}",
                event_id=str(uuid.UUID(int=draw(st.integers(0, 4)))),
                partition=device % PARTITIONS,
                metrics={"cpu_temp": float(number), "vibration_rms": 1.0},
            )
        )
    return partitions


@st.composite
def deliveries(draw: st.DrawFn, partitions: list[list[Sent]]) -> list[list[Sent]]:
    """Batches as an event source makes them: each partition in order, again from some place after a failure."""
    batches: list[list[Sent]] = []
    places = [0] * len(partitions)
    while any(place < len(sent) for place, sent in zip(places, partitions, strict=True)):
        batch: list[Sent] = []
        for number, sent in enumerate(partitions):
            begin = max(0, places[number] - draw(st.integers(0, 3)))
            end = min(len(sent), places[number] + draw(st.sampled_from([1, 2, 5, 0])))
            batch += sent[begin:end]
            places[number] = max(places[number], end)
        if batch:
            batches.append(batch)
    return batches


Model = dict[tuple[str, uuid.UUID], tuple[datetime, float]]


def work_out(partitions: list[list[Sent]]) -> tuple[Model, Counter[str]]:
    """Compute the expected samples, from the rules that device makers read."""
    samples: Model = {}
    known: set[tuple[str, uuid.UUID]] = set()
    outcomes: Counter[str] = Counter()
    for one in itertools.chain(*partitions):
        who = (one.device_id, one.key)
        if one.received_at - one.event_time > timedelta(hours=1):
            outcomes["late"] += 1
        elif who in known:
            outcomes["duplicate"] += 1
        else:
            ahead = one.event_time - one.received_at > timedelta(minutes=5)
            samples[who] = (one.received_at if ahead else one.event_time, one.metrics["cpu_temp"])
            outcomes["counted"] += 1
        known.add(who)
    return samples, outcomes


@pytest.fixture(scope="module")
def one_database(databases: Databases) -> Iterator[str]:
    """One for all examples: each keeps to itself by names of its own."""
    with databases.fresh() as dsn:
        yield dsn


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data(), partitions=streams())
def test_any_stream_in_any_batches_gives_the_samples_that_the_rules_say(
    one_database: str, data: st.DataObject, partitions: list[list[Sent]]
) -> None:
    # A fleet and a topic of its own: all tests share the tables.
    name = f"fleet-{next(NUMBERS)}"
    partitions = [[replace(one, fleet_id=name, topic=name) for one in sent] for sent in partitions]
    processes, tables = Processes(one_database), Tables(one_database)
    try:
        writers = [processes.start(), processes.start()]
        for batch in data.draw(deliveries(partitions)):
            events = read(batch)
            suspected = {event.origin for event in events if data.draw(st.booleans())}
            data.draw(st.sampled_from(writers)).add(events, suspected)
        samples, outcomes = work_out(partitions)
        assert {
            (device, key): (time, dict(readings)["cpu_temp"]) for device, key, time, readings in tables.samples(name)
        } == samples
        assert tables.outcomes(name) == dict(outcomes)
        assert tables.covered(name) == {number: [(0, len(sent))] for number, sent in enumerate(partitions) if sent}
        minutes = {(device, time.replace(second=0, microsecond=0)) for (device, _), (time, _) in samples.items()}
        expected = {(shard_of(name, device), minute, None) for device, minute in minutes}
        fleets = {(shard_of(name, None), minute, "fleet") for _, minute in minutes}
        markers = tables.markers(name)
        assert expected <= markers
        assert {marker for marker in markers if marker[2] is not None} == fleets
    finally:
        processes.end()
        tables.connection.close()
