"""Rollups of any stream equal a recomputation that shares no code with aggregate and roll.

The streams run over the end of an hour, a day and a month.
"""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from sluice.core.times import LATE_ARRIVAL
from tests.database.streams import EVENTS, Pipeline, Stream, stored
from tests.support.recomputation import find_differences, read_numbers, recompute


def outcomes_of(dsn: str) -> int:
    """The number of events whose outcome is recorded."""
    with psycopg.connect(dsn) as connection:
        ((events,),) = connection.execute("SELECT sum(events) FROM outcome").fetchall()
    return int(events)


@pytest.fixture
def pipelines(database: str) -> Iterator[Callable[[Stream, random.Random], Pipeline]]:
    made: list[Pipeline] = []

    def make(stream: Stream, draw: random.Random) -> Pipeline:
        made.append(Pipeline(database, stream, draw))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()


@pytest.mark.parametrize("seed", range(4))
def test_rollups_of_any_stream_cut_anywhere_equal_their_recomputation(
    database: str, pipelines: Callable[[Stream, random.Random], Pipeline], seed: int
) -> None:
    draw = random.Random(seed)
    stream = Stream(draw)
    stream.fill()
    pipeline = pipelines(stream, draw)
    pipeline.run()
    assert pipeline.deaths > 10
    raw = [stored(sent) for held in stream.partitions.values() for sent in held]
    flags = {flag for event in raw for flag in event.flags}
    assert flags == {LATE_ARRIVAL, "clock_ahead"}
    expected = recompute(raw)
    numbers = read_numbers(database)
    assert numbers.closed_until >= datetime(2026, 2, 2, tzinfo=UTC)
    assert {window.resolution for window, _ in numbers.rollups} == {"1m", "1h", "1d"}
    differences = find_differences(expected, numbers)
    assert outcomes_of(database) == EVENTS
    assert not differences, "\n".join([f"{len(differences)} differences", *differences[:20]])
