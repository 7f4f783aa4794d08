"""A reader's answer for a range stays the same when a part of it moves to files."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from functions.recall import handler
from sluice.core.rollup_archive.recall import RecallQuestion
from sluice.core.times import write_time
from sluice.edge.rollup_archive.database import TierDatabase
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.rollup_archive.recalling import Recaller
from sluice.edge.rollup_archive.tiering import Plan, Tiering
from tests.database.numbers import add_entity, add_metrics, add_window, close
from tests.local.emulation import emulated_aws
from tests.support.readers import FLEET, Reader

BUCKET = "rollups"
DAY = timedelta(days=1)
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START, BORDER, END = MIDNIGHT - 4 * DAY, MIDNIGHT - 2 * DAY, MIDNIGHT - DAY
STEP = timedelta(minutes=45)
DEVICES = ("press-1", "press-2", "press-3")
PLAN = Plan(hot={"1m": 2 * DAY, "1h": 90 * DAY}, kept=730 * DAY, slice_windows=360, chunk=2000, max_file=6000)


@pytest.fixture
def s3() -> Iterator[Any]:
    with emulated_aws() as url:
        client = boto3.client(
            "s3", "us-east-1", endpoint_url=url, aws_access_key_id="local", aws_secret_access_key="local"
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def reader(database: str, s3: Any) -> Iterator[Reader]:
    """A reader of a fleet with some days of minutes, and the function that reads files."""
    with psycopg.connect(database, autocommit=True) as owner:
        keys = add_metrics(owner)
        for number, device_id in enumerate((None, *DEVICES)):
            entity = add_entity(owner, FLEET, device_id)
            for window in range((END - START) // STEP):
                values = {"cpu_temp": [20 + number + 0.3 * one * (window % 7) for one in range(5 + number)]}
                if window % 3:
                    values["odd"] = [1e-3 * (window + one) ** 2 for one in range(3)]
                add_window(owner, "1m", entity, START + window * STEP, values, keys)
        close(owner, END)
        owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", (END,))
    reader = Reader(database)
    reader.functions.groups["hall"] = DEVICES
    reader.functions.rows = lambda payload: msgspec.json.encode(
        handler.recall(msgspec.json.decode(payload, type=RecallQuestion), Recaller(s3, BUCKET))
    )
    yield reader
    reader.close()


def move(reader: Reader, s3: Any) -> None:
    """Move what is old, and drop it from the database."""
    with closing(psycopg.connect(make_conninfo(reader.dsn, user="sluice_tier"), autocommit=True)) as connection:
        for _ in range(2):
            # Of the day on which the tests began: it may be over by now.
            Tiering(TierDatabase(connection), RollupFiles(s3, BUCKET), PLAN).run(MIDNIGHT + STEP, lambda: True)
        (left,) = connection.execute("SELECT min(window_start), count(*) FROM rollup_1m")
    assert left == (BORDER, (END - BORDER) // STEP * (1 + len(DEVICES)))


def ask(reader: Reader, subject: str, start: datetime, end: datetime) -> list[Any]:
    """Read all pages of a range."""
    between = f"from={write_time(start)}&to={write_time(end)}"
    return reader.walk(f"/v1/fleets/{FLEET}/rollups?{subject}&{between}&resolution=1m")


@pytest.mark.parametrize("subject", ["device=press-2", "metric=odd", "", "group=hall&metric=cpu_temp"])
def test_a_range_across_the_border_is_answered_as_if_nothing_had_moved(reader: Reader, s3: Any, subject: str) -> None:
    before = ask(reader, subject, START, END)
    assert len(before) >= (END - START) // STEP // 2
    move(reader, s3)
    after = ask(reader, subject, START, END)
    assert [named(item) for item in after] == [named(item) for item in before]
    # Members of a group are merged in another order than before.
    for found, expected in zip(after, before, strict=True):
        assert numbers(found) == pytest.approx(numbers(expected), rel=1e-12)


def named(item: dict[str, Any]) -> dict[str, str]:
    """Return what an item is about."""
    return {name: value for name, value in item.items() if isinstance(value, str)}


def numbers(item: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of an item."""
    return {name: value for name, value in item.items() if not isinstance(value, str)}


def test_what_has_moved_is_as_complete_as_it_was(reader: Reader, s3: Any) -> None:
    move(reader, s3)
    between = f"from={write_time(BORDER - DAY)}&to={write_time(BORDER)}"
    got = reader.get(f"/v1/fleets/{FLEET}/rollups?device=press-1&{between}&resolution=1m")
    assert {state["state"] for state in got.body["states"]} == {"complete"}


def test_files_of_other_devices_are_not_asked_for(reader: Reader, s3: Any) -> None:
    move(reader, s3)
    asked: list[RecallQuestion] = []
    recall = reader.functions.rows

    def noting(payload: bytes) -> bytes:
        asked.append(msgspec.json.decode(payload, type=RecallQuestion))
        return recall(payload)

    reader.functions.rows = noting
    ask(reader, "device=press-1", START, START + DAY)
    with closing(psycopg.connect(reader.dsn)) as owner:
        (files,) = owner.execute("SELECT count(*) FROM tiered WHERE window_from < %s", (START + DAY,))
    assert 0 < len({name for question in asked for name in question.objects}) < files[0]


def test_a_file_that_was_replaced_while_it_was_asked_for_is_read_under_its_new_name(reader: Reader, s3: Any) -> None:
    move(reader, s3)
    before = ask(reader, "device=press-1", START, START + DAY)
    recall = reader.functions.rows
    replaced: list[str] = []

    def replacing(payload: bytes) -> bytes:
        """Replace a file between the question and its answer, once."""
        name = msgspec.json.decode(payload, type=RecallQuestion).objects[0]
        if not replaced:
            replaced.append(name)
            new = name.replace("-0000-", "-0009-")
            s3.copy_object(Bucket=BUCKET, Key=new, CopySource={"Bucket": BUCKET, "Key": name})
            s3.delete_object(Bucket=BUCKET, Key=name)
            with psycopg.connect(reader.dsn, autocommit=True) as owner:
                owner.execute("UPDATE tiered SET object = %s WHERE object = %s", [new, name])
        return recall(payload)

    reader.functions.rows = replacing
    assert ask(reader, "device=press-1", START, START + DAY) == before
    assert replaced
    # One that is gone and still listed is no reason to ask for ever.
    s3.delete_object(Bucket=BUCKET, Key=replaced[0].replace("-0000-", "-0009-"))
    between = f"from={write_time(START)}&to={write_time(START + STEP)}"
    got = reader.get(f"/v1/fleets/{FLEET}/rollups?device=press-1&{between}&resolution=1m")
    assert got.status == 503
