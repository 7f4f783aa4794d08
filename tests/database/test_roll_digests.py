"""Digests in the database and in Python are the same histograms."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sluice.core.rollups.digests import merge_digests, middle_of, percentile
from tests.database.rolled import METRICS, Sample, Samples, drain, expect
from tests.support.recomputation import TOLERANCE

DAY = datetime(2026, 3, 2, tzinfo=UTC)
FAR = DAY + timedelta(days=2)
MAGNITUDES = [0.0, 1e-13, 1e-12, 3e-9, 0.004, 0.005, 0.2, 1.0, 999.99, 10485.75, 10485.77, 1e6, 1e12, 1e15]


@pytest.fixture
def samples(database: str) -> Iterator[Samples]:
    """A database with partitions for a day."""
    made = Samples(database)
    made.prepare_for(DAY, FAR)
    yield made
    made.close()


@pytest.mark.parametrize("resolution", [0.01, 0.5, 1.0, None])
def test_a_bins_middle_is_near_every_reading_in_it(database: str, resolution: float | None) -> None:
    chance = random.Random(7)
    readings = [sign * size * chance.uniform(1, 2) for size in MAGNITUDES for sign in (-1, 1) for _ in range(20)]
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT reading, bin_of(reading, %(step)s), bin_middle(bin_of(reading, %(step)s), %(step)s)"
            " FROM unnest(%(readings)s::double precision[]) AS reading",
            {"readings": readings, "step": resolution},
        ).fetchall()
    assert len(rows) == len(readings)
    for reading, number, middle in rows:
        assert middle == pytest.approx(middle_of(number, resolution), rel=1e-12)
        if resolution is not None and abs(reading) < resolution * 2**20:
            assert abs(middle - reading) <= resolution / 2 * (1 + 1e-9)
        elif abs(reading) < 1e-12:
            assert middle == 0
        else:
            assert middle == pytest.approx(reading, rel=0.0005 * (1 + 1e-3))
        # What is packed into one number with its metric must not run over into it.
        assert abs(number) < 2**22
    ordered = [number for _, number, _ in sorted(rows)]
    assert ordered == sorted(ordered)


def test_rows_merged_by_python_are_the_row_merged_by_the_database(samples: Samples) -> None:
    chance = random.Random(8)
    for _ in range(6):
        samples.write(
            *(
                Sample(
                    "one",
                    f"device-{chance.randrange(12)}",
                    DAY + timedelta(seconds=chance.randrange(7200)),
                    {
                        "coarse": chance.gauss(20, 9),
                        "fine": chance.gauss(0, 1),
                        "undeclared": chance.lognormvariate(0, 9),
                    },
                )
                for _ in range(80)
            )
        )
    drain(samples.roller(), FAR)
    rows = samples.rows()
    for merged, parts in (
        # Hours of a device from its minutes, the fleet's day from its hours, and the fleet's hour from its devices'.
        (
            ("one", "device-3", "1h", DAY),
            [k for k in rows if k[1] == "device-3" and k[2] == "1m" and k[3] < DAY + timedelta(hours=1)],
        ),
        (("one", None, "1d", DAY), [key for key in rows if key[1] is None and key[2] == "1h"]),
        (("one", None, "1h", DAY), [key for key in rows if key[1] is not None and key[2] == "1h" and key[3] == DAY]),
    ):
        assert len(parts) > 1
        row = rows[merged]
        digests = merge_digests((rows[key]["bins"], rows[key]["bin_counts"]) for key in parts)
        assert digests == merge_digests([(row["bins"], row["bin_counts"])])
        for place, (name, metric) in enumerate(samples.metrics.items()):
            assert row["metric_keys"][place] == metric
            for column, share in (("p50s", 0.5), ("p95s", 0.95)):
                found = percentile(
                    digests[metric], share, METRICS[name], least=row["mins"][place], most=row["maxs"][place]
                )
                assert found == pytest.approx(row[column][place], rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-300, 1e-160, 1e15])
def test_readings_too_small_or_large_to_be_squared_hold_nothing_up(samples: Samples, size: float) -> None:
    # Of one device and of several: a fleet's minutes are computed in another way than a device's.
    for number, share in enumerate((1, 0, 2, -1, 0, 0, 0)):
        moment = DAY + timedelta(minutes=number % 2, seconds=number)
        samples.write(Sample("one", f"device-{number % 3}", moment, dict.fromkeys(METRICS, share * size)))
    drain(samples.roller(), FAR)
    assert samples.markers() == []
    rows, expected = samples.rows(), expect(samples.written, FAR)
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        readings = expected[key]["fine"]
        assert row["counts"] == [len(readings)] * len(METRICS)
        assert (row["mins"], row["maxs"]) == ([min(readings)] * len(METRICS), [max(readings)] * len(METRICS))
        # Numbers this small have few digits left.
        assert row["means"] == pytest.approx([math.fsum(readings) / len(readings)] * len(METRICS), rel=1e-9, abs=1e-300)
        assert all(0 <= m2 <= len(readings) * (2 * size) ** 2 * (1 + TOLERANCE) for m2 in row["m2s"])
        assert all(min(readings) <= rank <= max(readings) for rank in (*row["p50s"], *row["p95s"]))
