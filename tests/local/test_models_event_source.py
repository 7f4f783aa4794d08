"""The model of Kafka event sources with a real broker, real functions and an emulated bucket."""

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.install import kafka_installation
from local.models.aws_client import aws_client
from local.models.config import EventSourceConfig, MappingConfig
from local.ports import Ports
from local.processes import spawn, stop
from local.services.kafka import Cluster, new_nodes
from tests.local.emulation import emulated_aws
from tests.local.model_process import ModelProcess, running, running_function
from tests.local.watching import eventually
from tests.support.stores import committed_offsets

PARTITIONS = 4
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:reads"
HANDLER = """
import base64, json, os, pathlib

# One file for each topic: what it saw, and what it should do next.
HOME = pathlib.Path(os.environ["HOME_DIRECTORY"])

def handler(event, context):
    for group in event["records"].values():
        topic = group[0]["topic"]
    values = [
        [record["partition"], record["offset"], base64.b64decode(record["value"]).decode()]
        for group in event["records"].values()
        for record in group
    ]
    with (HOME / f"{topic}.seen").open("a") as seen:
        seen.write(json.dumps(values) + "\\n")
    plan = HOME / f"{topic}.plan"
    does = json.loads(plan.read_text()) if plan.exists() else {}
    if any(value == does.get("raise") for _, _, value in values):
        raise ValueError("no good")
    if any(value == does.get("die") for _, _, value in values):
        os._exit(1)
    return {
        "batchItemFailures": [
            {"itemIdentifier": {"partition": f"{topic}-{partition}", "offset": offset}}
            for partition, offset, value in values
            if value == does.get("report")
        ]
    }
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("event_source")


@pytest.fixture(scope="module")
def broker(directory: Path) -> Iterator[str]:
    logs = directory / "kafka-logs"
    logs.mkdir()

    async def start(cluster: Cluster) -> asyncio.subprocess.Process:
        await cluster.format(logs)
        (program,) = cluster.programs()
        process = await spawn(program, logs / "kafka.log")
        async with asyncio.timeout(60):
            while not await program.ready(process.pid):
                await asyncio.sleep(0.1)
        return process

    with Ports() as ports, asyncio.Runner() as loop:
        cluster = Cluster(kafka_installation(), directory / "kafka", new_nodes(1, ports))
        process = loop.run(start(cluster))
        yield cluster.bootstrap
        loop.run(stop(process, signal.SIGKILL, seconds=10))


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture(scope="module")
def s3(aws: str) -> Any:
    client = aws_client("s3", aws, "us-east-1")
    client.create_bucket(Bucket="failed")
    return client


@pytest.fixture(scope="module")
def lambdas(directory: Path) -> Iterator[ModelProcess]:
    with running_function(FUNCTION, HANDLER, directory, workers=2) as model:
        yield model


class Source:
    """One topic with a mapping: what is produced to it, what its function saw, where its group stands."""

    def __init__(self, broker: str, directory: Path) -> None:
        self.topic = f"events-{uuid.uuid4().hex[:8]}"
        self._broker = broker
        self._directory = directory
        admin = AdminClient({"bootstrap.servers": broker})
        for created in admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)]).values():
            created.result(timeout=30)

    def plan(self, **does: str) -> None:
        (self._directory / f"{self.topic}.plan").write_text(json.dumps(does))

    def produce(self, values: list[tuple[int, str]]) -> None:
        producer = Producer({"bootstrap.servers": self._broker})
        for partition, value in values:
            producer.produce(self.topic, value, partition=partition, headers=[("envelope", b"e")])
        assert producer.flush(30) == 0

    def batches(self) -> list[list[list[Any]]]:
        seen = self._directory / f"{self.topic}.seen"
        return [json.loads(line) for line in seen.read_text().splitlines()] if seen.exists() else []

    def values(self) -> list[str]:
        return [value for batch in self.batches() for _, _, value in batch]

    def committed(self) -> dict[int, int]:
        return committed_offsets(self._broker, self.topic, self.topic)

    def mapping(self, **changes: Any) -> MappingConfig:
        settings: dict[str, Any] = {
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, self.topic)),
            "enabled": True,
            "cluster_arn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
            "topic": self.topic,
            "group": self.topic,
            "function_arn": FUNCTION,
            "function_timeout_seconds": 10,
            "starting_position": "TRIM_HORIZON",
            "batch_size": 1000,
            "window_seconds": 0.2,
            "pollers": 2,
            "partial_failures": True,
            "maximum_retries": 10_000,
            "maximum_age_seconds": -1,
            "failure_bucket": "failed",
        }
        return MappingConfig(**{**settings, **changes})


@pytest.fixture
def source(broker: str, directory: Path) -> Source:
    return Source(broker, directory)


@pytest.fixture
def configured(
    broker: str,
    lambdas: ModelProcess,
    aws: str,
    s3: Any,  # noqa: ARG001
    tmp_path: Path,
) -> Callable[..., EventSourceConfig]:
    metrics = str(tmp_path / "metrics.log")
    return lambda *mappings: EventSourceConfig("us-east-1", broker, lambdas.url, aws, metrics, list(mappings))


Configured = Callable[..., EventSourceConfig]


def status(model: ModelProcess) -> Any:
    with urllib.request.urlopen(f"{model.url}/_model/mappings") as answer:
        (found,) = json.load(answer)
        return found


def test_all_records_reach_the_function_in_order_from_the_beginning(
    configured: Configured, source: Source, tmp_path: Path
) -> None:
    source.produce([(number % PARTITIONS, f"v{number}") for number in range(400)])
    with running("event_source", configured(source.mapping()), tmp_path):
        eventually(lambda: source.committed() == dict.fromkeys(range(PARTITIONS), 100))

    assert sorted(source.values()) == sorted(f"v{number}" for number in range(400))
    for partition in range(PARTITIONS):
        offsets = [offset for batch in source.batches() for p, offset, _ in batch if p == partition]
        assert offsets == list(range(100))


def test_a_partial_failure_holds_its_partition_and_no_other(
    configured: Configured, source: Source, tmp_path: Path
) -> None:
    source.plan(report="bad")
    source.produce([(0, "a"), (0, "bad"), (0, "b"), (1, "c")])
    with running("event_source", configured(source.mapping()), tmp_path) as model:
        eventually(lambda: source.committed() == {0: 1, 1: 1})
        source.produce([(1, "d"), (2, "e")])
        eventually(lambda: source.committed() == {0: 1, 1: 2, 2: 1})
        eventually(lambda: status(model)["waiting_partitions"] == [0])
        source.plan()
        eventually(lambda: source.committed() == {0: 3, 1: 2, 2: 1})

    values = source.values()
    assert [values.count(each) for each in "acde"] == [1, 1, 1, 1]
    assert values.count("bad") > 1


@pytest.mark.parametrize("fault", ["raise", "die"])
def test_a_batch_whose_function_fails_is_tried_until_it_succeeds(
    configured: Configured, source: Source, tmp_path: Path, fault: str
) -> None:
    source.plan(**{fault: "bad"})
    source.produce([(0, "a"), (0, "bad")])
    with running("event_source", configured(source.mapping()), tmp_path) as model:
        eventually(lambda: status(model).get("function_errors", 0) >= 2)
        assert source.committed() == {}
        source.plan()
        eventually(lambda: source.committed() == {0: 2})


def test_a_batch_that_is_given_up_is_an_object_with_the_whole_event(
    configured: Configured, source: Source, tmp_path: Path, s3: Any
) -> None:
    source.plan(**{"raise": "bad"})
    source.produce([(3, "a"), (3, "bad")])
    mapping = source.mapping(maximum_retries=1)
    with running("event_source", configured(mapping), tmp_path):
        eventually(lambda: source.committed() == {3: 2})

    (listed,) = s3.list_objects_v2(Bucket="failed", Prefix=f"aws/lambda/{mapping.uuid}/")["Contents"]
    found = json.loads(s3.get_object(Bucket="failed", Key=listed["Key"])["Body"].read())
    assert found["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert found["requestContext"]["approximateInvokeCount"] == 2
    assert found["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    info = found["KafkaBatchInfo"]["recordsInfo"][f"{source.topic}-3"]
    assert (info["firstRecordOffset"], info["lastRecordOffset"]) == ("0", "1")
    assert [each["value"] for each in json.loads(found["payload"])["records"][f"{source.topic}-3"]] == ["YQ==", "YmFk"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.log").read_text().splitlines()]
    assert {line["EventSourceMappingUUID"] for line in lines} == {mapping.uuid}
    told = [(name, line[name]) for line in lines for name in line if name.endswith("EventCount")]
    assert told == [("FailedInvokeEventCount", [2])] * 2 + [("OnFailureDestinationDeliveredEventCount", [2])]


def test_a_function_that_cannot_be_reached_loses_nothing(
    configured: Configured, source: Source, tmp_path: Path
) -> None:
    source.produce([(0, "a")])
    mapping = source.mapping(maximum_retries=0)
    away = configured(mapping)
    away.lambdas = "http://127.0.0.1:1"
    with running("event_source", away, tmp_path) as model:
        eventually(lambda: status(model).get("not_invoked", 0) >= 2)
    assert source.committed() == {}
    with running("event_source", configured(mapping), tmp_path):
        eventually(lambda: source.committed() == {0: 1})

    assert source.values() == ["a"]


def test_killed_pollers_continue_where_the_group_stands(configured: Configured, source: Source, tmp_path: Path) -> None:
    settings = configured(source.mapping(batch_size=10, window_seconds=0))
    source.produce([(number % PARTITIONS, f"v{number}") for number in range(2000)])
    with running("event_source", settings, tmp_path) as model:
        eventually(lambda: len(source.batches()) > 20)
        model.process.kill()
    with running("event_source", settings, tmp_path):
        eventually(lambda: source.committed() == dict.fromkeys(range(PARTITIONS), 500))

    assert set(source.values()) == {f"v{number}" for number in range(2000)}
    # What was invoked and not committed is delivered again: at most a batch of each poller.
    assert len(source.values()) <= 2000 + 2 * 10


def test_a_mapping_that_is_not_enabled_reads_nothing(configured: Configured, source: Source, tmp_path: Path) -> None:
    source.produce([(0, "a")])
    with running("event_source", configured(source.mapping(enabled=False)), tmp_path) as model:
        assert status(model)["enabled"] is False

    assert source.values() == []


def test_a_poller_that_cannot_continue_ends_the_process(configured: Configured, source: Source, tmp_path: Path) -> None:
    settings = configured(source.mapping())
    with (
        running("event_source", settings, tmp_path / "one") as one,
        running("event_source", settings, tmp_path / "two") as two,
    ):
        # Both claim the same static members of the group. The one that loses a member is fenced for good.
        eventually(lambda: 1 in (one.process.poll(), two.process.poll()))


def test_a_commit_that_is_never_answered_ends_the_process() -> None:
    script = """
import time
from local.models import event_source

class Lost:
    def commit(self, **_options):
        time.sleep(60)

event_source._LOST_SECONDS = 0.2
source = object.__new__(event_source.KafkaSource)
source._topic, source._consumer = "t", Lost()
source.commit({0: 1})
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 1
    assert "t: no answer to a commit for 0.2 s" in ran.stderr
