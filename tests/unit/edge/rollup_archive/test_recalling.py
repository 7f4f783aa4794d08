from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.core.errors import Retryable
from sluice.core.rollup_archive.recall import RecallQuestion
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.rollup_archive.files import write_files
from sluice.edge.rollup_archive.recalling import Recaller, wanted_groups
from sluice.edge.rollup_archive.tables import SCHEMA
from tests.local.emulation import emulated_aws

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OBJECT = "rollups/part"
ENTITIES = [("acme", None), *(("acme", f"press-{number}") for number in range(5)), ("zeta", None), ("zeta", "press-1")]


def make_file(minutes: int = 3) -> bytes:
    """Make a file whose every part is one device's or fleet's."""
    tables = []
    numbers = dict.fromkeys(("avg", "min", "max", "p50", "p95", "sum", "m2"), 1.5)
    for fleet_id, device_id in ENTITIES:
        rows = [
            {"fleet_id": fleet_id, "device_id": device_id, "metric": metric, "unit": "C", "count": minute + 1}
            | {"window_start": NOON.replace(tzinfo=None) + timedelta(minutes=minute), "bins": [7], "bin_counts": [1]}
            | numbers
            for minute in range(minutes)
            for metric in ("cpu_temp", "vibration")
        ]
        tables.append(pa.Table.from_pylist(rows, SCHEMA))
    (part,) = write_files(tables)
    assert (part.first, part.last) == (("acme", ""), ("zeta", "press-1"))
    return part.data


def question(fleet_id: str, device_ids: tuple[str, ...] | None, **changed: Any) -> RecallQuestion:
    asked: dict[str, Any] = {
        "resolution": "1m",
        "fleet_id": fleet_id,
        "device_ids": device_ids,
        "metrics": (),
        "window_from": NOON,
        "window_to": NOON + timedelta(hours=1),
        "objects": (OBJECT,),
    }
    return RecallQuestion(**(asked | changed))


@pytest.fixture
def s3() -> Iterator[Any]:
    with emulated_aws() as url:
        client = boto3.client(
            "s3", "us-east-1", endpoint_url=url, aws_access_key_id="local", aws_secret_access_key="local"
        )
        client.create_bucket(Bucket="rollups")
        client.put_object(Bucket="rollups", Key=OBJECT, Body=make_file())
        yield client


@pytest.mark.parametrize(
    ("fleet_id", "device_ids", "groups"),
    [
        ("acme", None, [0]),
        ("acme", ("press-0",), [1]),
        ("acme", ("press-4", "press-2"), [3, 5]),
        ("acme", ("press-9",), []),
        ("zeta", None, [6]),
        ("zeta", ("press-1", "press-2"), [7]),
        ("beta", None, []),
    ],
)
def test_only_the_parts_of_a_file_that_may_hold_an_answer_are_read(
    fleet_id: str, device_ids: tuple[str, ...] | None, groups: list[int]
) -> None:
    metadata = pq.ParquetFile(BytesIO(make_file())).metadata
    assert list(wanted_groups(metadata, question(fleet_id, device_ids))) == groups


def test_a_device_is_not_taken_for_another_fleets(s3: Any) -> None:
    rows = Recaller(s3, "rollups").recall(question("acme", ("press-1",), metrics=("vibration",))).rows
    assert [(row.device_id, row.metric, row.window_start.minute, row.count) for row in rows] == [
        ("press-1", "vibration", minute, minute + 1) for minute in range(3)
    ]


def test_the_end_of_the_range_is_not_included(s3: Any) -> None:
    asked = question("acme", None, window_from=NOON + timedelta(minutes=1), window_to=NOON + timedelta(minutes=2))
    assert {row.window_start.minute for row in Recaller(s3, "rollups").recall(asked).rows} == {1}


def test_digests_come_only_when_they_are_asked_for(s3: Any) -> None:
    recaller = Recaller(s3, "rollups")
    assert {row.bins for row in recaller.recall(question("acme", None)).rows} == {()}
    assert {row.bins for row in recaller.recall(question("acme", None, digests=True)).rows} == {(7,)}


def test_more_rows_than_memory_is_meant_for_are_refused(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.edge.rollup_archive.recalling.MAX_ROWS", 5)
    answer = Recaller(s3, "rollups").recall(question("acme", None))
    assert answer.rows == ()
    assert "more than 5 rows" in (answer.too_much or "")


def test_a_file_that_is_not_there_is_an_error_and_not_an_empty_answer(s3: Any) -> None:
    with pytest.raises(Retryable, match="NoSuchKey"):
        Recaller(s3, "rollups").recall(question("acme", None, objects=("rollups/other",)))


@pytest.mark.parametrize("tail", [10, 2000, 10_000_000])
def test_a_stored_file_reads_as_the_file_itself_wherever_its_kept_end_begins(s3: Any, tail: int) -> None:
    data = make_file()
    stored = StoredFile(Bucket(s3, "rollups"), OBJECT, tail)
    for start, size in ((0, 4), (len(data) - 1500, 700), (len(data) - 8, 8), (len(data) - 4, 100), (5, 0)):
        stored.seek(start)
        assert stored.read(size) == data[start : start + size]
    assert stored.seek(-8, 2) == len(data) - 8
    assert pq.read_table(StoredFile(Bucket(s3, "rollups"), OBJECT, tail)).equals(pq.read_table(BytesIO(data)))
