"""The model of SQS event sources with emulated queues and real functions."""

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.models.aws_client import aws_client
from local.models.config import QueueMappingConfig, QueueSourceConfig
from tests.local.emulation import emulated_aws
from tests.local.model_process import ModelProcess, running, running_function
from tests.local.watching import eventually

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:takes"
HANDLER = """
import json, os, pathlib, time

# One file for each queue: what it saw, and what it should do next.
HOME = pathlib.Path(os.environ["HOME_DIRECTORY"])

def handler(event, context):
    queue = event["Records"][0]["eventSourceARN"].rpartition(":")[2]
    bodies = [record["body"] for record in event["Records"]]
    receives = [int(record["attributes"]["ApproximateReceiveCount"]) for record in event["Records"]]
    plan = HOME / f"{queue}.plan"
    does = json.loads(plan.read_text()) if plan.exists() else {}
    while does.get("slow") in bodies and not (HOME / f"{queue}.go").exists():
        time.sleep(0.05)
    with (HOME / f"{queue}.seen").open("a") as seen:
        seen.write(json.dumps([bodies, receives]) + "\\n")
    if does.get("raise") in bodies:
        raise ValueError("no good")
    if does.get("die") in bodies:
        os._exit(1)
    failed = [record["messageId"] for record in event["Records"] if record["body"] == does.get("report")]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("queue_source")


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


@pytest.fixture(scope="module")
def lambdas(directory: Path) -> Iterator[ModelProcess]:
    with running_function(FUNCTION, HANDLER, directory, workers=3) as model:
        yield model


class Source:
    """A FIFO queue with its dead letters and a mapping, and what its function saw."""

    def __init__(self, aws: str, directory: Path) -> None:
        self.name = f"q-{uuid.uuid4().hex[:8]}.fifo"
        self._directory = directory
        self._sqs = aws_client("sqs", aws, "us-east-1")
        self._letters = self._create(f"letters-{self.name}", {})
        self.arn = f"arn:aws:sqs:us-east-1:123456789012:{self.name}"
        letters = self._sqs.get_queue_attributes(QueueUrl=self._letters, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": letters["Attributes"]["QueueArn"], "maxReceiveCount": "3"}
        self.url = self._create(self.name, {"VisibilityTimeout": "1", "RedrivePolicy": json.dumps(redrive)})

    def _create(self, name: str, attributes: dict[str, str]) -> str:
        created = self._sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", **attributes})
        return str(created["QueueUrl"])

    def plan(self, **does: str) -> None:
        (self._directory / f"{self.name}.plan").write_text(json.dumps(does))

    def go(self) -> None:
        """Let a slow message end."""
        (self._directory / f"{self.name}.go").touch()

    def hide_for(self, seconds: int) -> None:
        self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"VisibilityTimeout": str(seconds)})

    def send(self, group: str, *bodies: str) -> None:
        for body in bodies:
            self._sqs.send_message(
                QueueUrl=self.url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=uuid.uuid4().hex
            )

    def seen(self) -> list[list[Any]]:
        seen = self._directory / f"{self.name}.seen"
        return [json.loads(line) for line in seen.read_text().splitlines()] if seen.exists() else []

    def bodies(self) -> list[str]:
        return [body for bodies, *_ in self.seen() for body in bodies]

    def left(self) -> int:
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=wanted)["Attributes"]
        return sum(map(int, counts.values()))

    def letters(self) -> list[str]:
        found = self._sqs.receive_message(QueueUrl=self._letters, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [each["Body"] for each in found.get("Messages", [])]

    def mapping(self, **changes: Any) -> QueueMappingConfig:
        settings: dict[str, Any] = {
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, self.name)),
            "enabled": True,
            "queue_arn": self.arn,
            "queue_url": self.url,
            "function_arn": FUNCTION,
            "function_timeout_seconds": 10,
            "batch_size": 1,
            "window_seconds": 0,
            "at_once": 3,
            "partial_failures": True,
        }
        return QueueMappingConfig(**{**settings, **changes})


@pytest.fixture
def source(aws: str, directory: Path) -> Source:
    return Source(aws, directory)


Configured = Callable[..., QueueSourceConfig]


@pytest.fixture
def configured(lambdas: ModelProcess, aws: str) -> Configured:
    return lambda *mappings: QueueSourceConfig("us-east-1", lambdas.url, aws, list(mappings))


def status(model: ModelProcess) -> Any:
    with urllib.request.urlopen(f"{model.url}/_model/mappings") as answer:
        (found,) = json.load(answer)
        return found


def test_the_messages_of_a_group_come_in_order_and_leave_the_queue(
    configured: Configured, source: Source, tmp_path: Path
) -> None:
    source.send("a", *(f"a{number}" for number in range(5)))
    source.send("b", *(f"b{number}" for number in range(5)))
    with running("queue_source", configured(source.mapping()), tmp_path) as model:
        eventually(lambda: source.left() == 0)
        assert status(model)["deleted"] == 10

    for group in "ab":
        assert [each for each in source.bodies() if each[0] == group] == [f"{group}{number}" for number in range(5)]


def test_a_message_that_is_reported_holds_its_group_and_no_other(
    configured: Configured, source: Source, tmp_path: Path
) -> None:
    source.plan(report="bad")
    source.send("a", "bad", "after")
    source.send("b", "other")
    with running("queue_source", configured(source.mapping()), tmp_path):
        eventually(lambda: source.bodies().count("bad") == 2)
        assert source.bodies().count("other") == 1
        assert "after" not in source.bodies()
        source.plan()
        eventually(lambda: source.left() == 0)

    assert source.bodies()[-2:] == ["bad", "after"]


@pytest.mark.parametrize("fault", ["report", "raise", "die"])
def test_what_fails_too_often_is_a_dead_letter_and_its_group_goes_on(
    configured: Configured, source: Source, tmp_path: Path, fault: str
) -> None:
    source.plan(**{fault: "bad"})
    source.send("a", "bad", "after")
    with running("queue_source", configured(source.mapping()), tmp_path):
        eventually(lambda: source.left() == 0)

    assert source.letters() == ["bad"]
    assert [receives for bodies, receives in source.seen() if bodies == ["bad"]] == [[1], [2], [3]]
    assert source.bodies()[-1] == "after"


def test_a_slow_message_holds_no_other_group(configured: Configured, source: Source, tmp_path: Path) -> None:
    source.plan(slow="slow")
    source.hide_for(60)
    source.send("a", "slow")
    source.send("b", "b1", "b2", "b3")
    with running("queue_source", configured(source.mapping()), tmp_path):
        eventually(lambda: source.bodies() == ["b1", "b2", "b3"])
        source.go()
        eventually(lambda: source.left() == 0)

    assert source.bodies() == ["b1", "b2", "b3", "slow"]


def test_a_function_that_cannot_be_reached_loses_nothing(
    configured: Configured, source: Source, tmp_path: Path
) -> None:
    source.send("a", "one")
    away = configured(source.mapping())
    away.lambdas = "http://127.0.0.1:1"
    with running("queue_source", away, tmp_path) as model:
        eventually(lambda: status(model).get("not_invoked", 0) >= 2)
    with running("queue_source", configured(source.mapping()), tmp_path):
        eventually(lambda: source.left() == 0)

    assert source.bodies() == ["one"]


def test_a_batch_has_so_many_messages_and_a_mapping_that_is_not_enabled_none(
    configured: Configured, source: Source, tmp_path: Path
) -> None:
    source.send("a", "a1", "a2", "a3")
    source.send("b", "b1")
    with running("queue_source", configured(source.mapping(enabled=False)), tmp_path) as model:
        assert status(model)["enabled"] is False
    assert source.bodies() == []
    with running("queue_source", configured(source.mapping(batch_size=4, at_once=1)), tmp_path):
        eventually(lambda: source.left() == 0)

    assert [bodies for bodies, *_ in source.seen()] == [["a1", "a2", "a3", "b1"]]
