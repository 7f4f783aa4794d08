"""The model of Firehose, with AWS's own client in front of it and an emulated bucket behind it."""

import base64
import io
import json
import os
import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.models.aws_client import aws_client
from local.models.config import ColumnConfig, FirehoseConfig, StreamConfig
from local.models.delivery import prefix
from local.models.spool import Spool, read
from tests.local.emulation import emulated_aws
from tests.local.model_process import ModelProcess, running

COLUMNS = [ColumnConfig("id", "string"), ColumnConfig("number", "int"), ColumnConfig("at", "timestamp")]


def stream(name: str, **changes: Any) -> StreamConfig:
    settings: dict[str, Any] = {
        "bucket": "raw",
        "prefix": f"raw/{name}/region=us-east-1/dt=!{{timestamp:yyyy-MM-dd}}/",
        "error_prefix": f"errors/{name}/!{{firehose:error-output-type}}/dt=!{{timestamp:yyyy-MM-dd}}/",
        "interval_seconds": 900,
        "size_mb": 128,
        "compression": "SNAPPY",
        "database": "sluice",
        "table": "raw_events",
        "columns": COLUMNS,
    }
    return StreamConfig(name=name, **{**settings, **changes})


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture(scope="module")
def s3(aws: str) -> Any:
    client = aws_client("s3", aws, "us-east-1")
    client.create_bucket(Bucket="raw")
    return client


@pytest.fixture(scope="module")
def configured(aws: str, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> FirehoseConfig:  # noqa: ARG001
    streams = [stream("events"), stream("quick", interval_seconds=0.2), stream("small", size_mb=0.001)]
    return FirehoseConfig("us-east-1", aws, str(tmp_path_factory.mktemp("spool")), streams)


@pytest.fixture(scope="module")
def model(configured: FirehoseConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelProcess]:
    with running("firehose", configured, tmp_path_factory.mktemp("firehose")) as process:
        yield process


def client_of(model: ModelProcess) -> Any:
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    return aws_client("firehose", model.url, "us-east-1", config)


@pytest.fixture(scope="module")
def firehose(model: ModelProcess) -> Any:
    return client_of(model)


def flush(model: ModelProcess) -> Any:
    with urllib.request.urlopen(urllib.request.Request(f"{model.url}/_model/flush", method="POST")) as answer:
        return json.load(answer)


def misbehave(model: ModelProcess, **faults: float) -> None:
    body = json.dumps(faults).encode()
    urllib.request.urlopen(urllib.request.Request(f"{model.url}/_model/faults", body)).close()


def buffered(model: ModelProcess) -> Any:
    with urllib.request.urlopen(f"{model.url}/_model/buffered") as answer:
        return json.load(answer)


def objects(s3: Any, under: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket="raw", Prefix=under).get("Contents", [])]


def content(s3: Any, key: str) -> bytes:
    return bytes(s3.get_object(Bucket="raw", Key=key)["Body"].read())


def rows(s3: Any, under: str) -> list[dict[str, Any]]:
    return [row for key in objects(s3, under) for row in pq.read_table(io.BytesIO(content(s3, key))).to_pylist()]


def lines(*ids: str) -> bytes:
    return b"".join(json.dumps({"id": each, "number": 1, "more": 0}).encode() + b"\n" for each in ids)


def test_records_become_rows_of_one_parquet_object_under_the_prefix(
    model: ModelProcess, firehose: Any, s3: Any
) -> None:
    before = datetime.now(UTC)
    answer = firehose.put_record_batch(
        DeliveryStreamName="events", Records=[{"Data": lines("a", "b")}, {"Data": lines("c")}]
    )
    single = firehose.put_record(DeliveryStreamName="events", Record={"Data": lines("d")})
    assert buffered(model)["events"] == {"records": 3, "lines": 4, "bytes": 3 * 36 + 36}
    assert flush(model)["events"] == {"records": 0, "lines": 0, "bytes": 0}

    (key,) = objects(s3, "raw/events/")
    assert answer["FailedPutCount"] == 0
    assert len({each["RecordId"] for each in answer["RequestResponses"]} | {single["RecordId"]}) == 3
    assert key.startswith(f"raw/events/region=us-east-1/dt={before:%Y-%m-%d}/events-1-{before:%Y-%m-%d-%H}-")
    assert re.search(r"-[0-9a-f-]{36}\.parquet$", key)
    assert [row["id"] for row in rows(s3, "raw/events/")] == ["a", "b", "c", "d"]
    metadata = pq.ParquetFile(io.BytesIO(content(s3, key))).metadata
    assert metadata.row_group(0).column(0).compression == "SNAPPY"
    assert metadata.schema.names == ["id", "number", "at"]


def test_a_record_that_cannot_be_read_goes_to_the_error_output_whole(
    model: ModelProcess, firehose: Any, s3: Any
) -> None:
    broken = lines("good") + b"{"
    firehose.put_record_batch(DeliveryStreamName="events", Records=[{"Data": broken}, {"Data": lines("fine")}])
    flush(model)

    (key,) = objects(s3, "errors/events/format-conversion-failed/dt=")
    (error,) = (json.loads(line) for line in content(s3, key).splitlines())
    assert base64.b64decode(error["rawData"]) == broken
    assert error["lastErrorCode"] == "DataFormatConversion.ParseError"
    assert error["lastErrorMessage"].startswith("Encountered malformed JSON.")
    assert error["dataCatalogTable"]["tableName"] == "raw_events"
    ids = [row["id"] for row in rows(s3, "raw/events/")]
    assert "fine" in ids
    assert "good" not in ids


def test_a_buffer_is_delivered_when_its_interval_is_over(model: ModelProcess, firehose: Any, s3: Any) -> None:
    firehose.put_record(DeliveryStreamName="quick", Record={"Data": lines("a")})
    while buffered(model)["quick"]["records"]:
        pass

    assert [row["id"] for row in rows(s3, "raw/quick/")] == ["a"]


def test_a_buffer_is_delivered_when_its_size_is_reached(model: ModelProcess, firehose: Any, s3: Any) -> None:
    firehose.put_record(DeliveryStreamName="small", Record={"Data": lines(*"abcdefghijklmnopqrstuvwxyzabcdef")})
    while buffered(model)["small"]["records"]:
        pass

    assert len(rows(s3, "raw/small/")) == 32


@pytest.mark.parametrize(
    ("name", "records", "error"),
    [
        ("missing", [b"{}"], "ResourceNotFoundException"),
        ("events", [], "ValidationException"),
        ("events", [b"{}"] * 501, "ValidationException"),
        ("events", [b" " * (1000 * 1024 + 1)], "ValidationException"),
        ("events", [b" " * 1000 * 1024] * 5, "InvalidArgumentException"),
    ],
)
def test_what_firehose_refuses_is_refused_whole(
    model: ModelProcess, firehose: Any, name: str, records: list[bytes], error: str
) -> None:
    with pytest.raises(ClientError) as refused:
        firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": each} for each in records])

    assert refused.value.response["Error"]["Code"] == error
    assert buffered(model)["events"]["records"] == 0


def test_the_largest_records_and_batches_are_taken(model: ModelProcess, firehose: Any) -> None:
    largest = lines("x").ljust(1000 * 1024)
    firehose.put_record_batch(DeliveryStreamName="events", Records=[{"Data": largest}] * 4)
    firehose.put_record_batch(DeliveryStreamName="events", Records=[{"Data": b"{}"}] * 500)

    assert buffered(model)["events"]["records"] == 504
    flush(model)


def test_an_unknown_operation_is_named(firehose: Any) -> None:
    with pytest.raises(ClientError, match="DescribeDeliveryStream"):
        firehose.describe_delivery_stream(DeliveryStreamName="events")


def test_what_was_answered_survives_a_kill_and_is_delivered_once(aws: str, s3: Any, tmp_path: Path) -> None:
    settings = FirehoseConfig("us-east-1", aws, str(tmp_path / "spool"), [stream("killed")])
    with running("firehose", settings, tmp_path) as model:
        client_of(model).put_record(DeliveryStreamName="killed", Record={"Data": lines("a", "b")})
        model.process.kill()
    (left,) = (tmp_path / "spool" / "killed").glob("*.spool")
    kept = left.read_bytes()
    # What an interrupted write would leave: it was never answered.
    left.write_bytes(kept + kept[:-3])
    with running("firehose", settings, tmp_path) as model:
        flush(model)
    first = objects(s3, "raw/killed/")
    # Killed between the delivery and the end of the buffer, it would be delivered again: to the same name.
    left.write_bytes(kept)
    with running("firehose", settings, tmp_path) as model:
        flush(model)

    assert objects(s3, "raw/killed/") == first
    assert [row["id"] for row in rows(s3, "raw/killed/")] == ["a", "b"]
    assert not left.exists()


def test_records_wait_while_the_bucket_cannot_be_written(aws: str, s3: Any, tmp_path: Path) -> None:
    settings = FirehoseConfig("us-east-1", aws, str(tmp_path / "spool"), [stream("waits", bucket="later")])
    with running("firehose", settings, tmp_path) as model:
        client_of(model).put_record(DeliveryStreamName="waits", Record={"Data": lines("a")})
        request = urllib.request.Request(f"{model.url}/_model/flush", method="POST")
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(request, timeout=1)
        assert buffered(model)["waits"]["records"] == 1
        s3.create_bucket(Bucket="later")
        assert flush(model)["waits"]["records"] == 0


def test_on_request_it_refuses_some_records_of_a_batch_and_loses_some_answers(
    aws: str, s3: Any, tmp_path: Path
) -> None:
    settings = FirehoseConfig("us-east-1", aws, str(tmp_path / "spool"), [stream("faulty")])
    records = [{"Data": lines(str(number))} for number in range(40)]
    with running("firehose", settings, tmp_path) as model:
        client = client_of(model)
        misbehave(model, refuse_share=0.5, seed=3)
        answer = client.put_record_batch(DeliveryStreamName="faulty", Records=records)
        refused = ["ErrorCode" in one for one in answer["RequestResponses"]]
        assert 0 < answer["FailedPutCount"] == sum(refused) < 40
        misbehave(model, lose_answer_share=1)
        with pytest.raises(ClientError, match="lost on request"):
            client.put_record_batch(DeliveryStreamName="faulty", Records=records)
        misbehave(model)
        assert client.put_record_batch(DeliveryStreamName="faulty", Records=records[:1])["FailedPutCount"] == 0
        flush(model)
    taken = [str(number) for number, no in enumerate(refused) if not no]
    assert [row["id"] for row in rows(s3, "raw/faulty/")] == [*taken, *map(str, range(40)), "0"]


def test_on_request_it_cannot_convert_some_records_and_the_same_ones_again(aws: str, s3: Any, tmp_path: Path) -> None:
    settings = FirehoseConfig("us-east-1", aws, str(tmp_path / "spool"), [stream("strict")])
    records = [lines(str(number)) for number in range(40)]
    with running("firehose", settings, tmp_path) as model:
        misbehave(model, unreadable_share=0.5)
        for _ in range(2):
            client_of(model).put_record_batch(DeliveryStreamName="strict", Records=[{"Data": one} for one in records])
            flush(model)
    refused = [
        [base64.b64decode(json.loads(line)["rawData"]) for line in content(s3, key).splitlines()]
        for key in objects(s3, "errors/strict/")
    ]
    assert len(refused) == 2
    assert refused[0] == refused[1]
    assert 0 < len(refused[0]) < 40
    assert len(rows(s3, "raw/strict/")) == 80 - 2 * len(refused[0])


def test_prefixes_are_evaluated_in_utc() -> None:
    arrived = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()

    assert prefix("a/!{timestamp:yyyy/MM/dd/HH}/", arrived, "") == "a/2026/03/04/05/"
    assert prefix("!{timestamp:'year='yyyy}/", arrived, "") == "year=2026/"
    assert prefix("!{firehose:error-output-type}/", arrived, "", "failed") == "failed/"


@pytest.mark.parametrize(
    "expression", ["!{timestamp:EEE}", "!{partitionKeyFromQuery:a}", "!{firehose:error-output-type}"]
)
def test_prefixes_the_model_cannot_evaluate_are_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="does not know"):
        prefix(expression, 0.0, "")


def test_a_spool_gives_back_what_it_took(tmp_path: Path) -> None:
    spool = Spool.new(tmp_path)
    spool.append([b"one", b""], 1.5)
    spool.append([b"two\nthree\n"], 2.5)
    spool.close()

    assert [(each.arrived, each.data) for each in read(spool.path)] == [
        (1.5, b"one"),
        (1.5, b""),
        (2.5, b"two\nthree\n"),
    ]
    again = Spool(spool.path)
    again.recount()
    again.close()
    assert (again.records, again.lines, again.bytes) == (spool.records, spool.lines, spool.bytes) == (3, 4, 13)


def test_a_write_that_breaks_off_is_an_error_and_hides_nothing_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.new(tmp_path)
    spool.append([b"kept"], 1.0)
    whole = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: whole(file, data[:-1]))
        with pytest.raises(OSError, match="bytes were written"):
            spool.append([b"lost"], 2.0)
    spool.close()

    assert [each.data for each in read(spool.path)] == [b"kept"]
    assert spool.records == 1
