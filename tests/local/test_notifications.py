"""Messages about incidents on their whole way: SNS, queues, the function notify, and servers that notify people."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cli.__main__ import main
from local.models.aws_client import aws_client
from local.models.config import FunctionConfig, LambdasConfig, QueueMappingConfig, QueueSourceConfig
from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.deliveries import MOST_RECEIVES
from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.core.published import write_document
from sluice.edge.notify.posting import TOTAL_SECONDS
from sluice.edge.published import name_in_bucket
from tests.local.emulation import emulated_aws
from tests.local.model_process import ROOT, ModelProcess, listening, running, wait_until_it_answers
from tests.local.watching import eventually
from tests.support.alert_messages import OPENED, RESOLVED, make_destination, make_message

REGION, STAGE, BUCKET = "us-east-1", "local", "control"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:sluice-local-notify"
HIDDEN_SECONDS = 12
"""Instead of three minutes: a test waits for it after a crash."""
SIGNING_KEY = "0123456789abcdef"
LIST = "notifications", "list"


class Chain:
    """What the parts share, and what tests ask them."""

    def __init__(self, aws: str, receivers: str) -> None:
        self.aws, self.receivers = aws, receivers
        self.sqs, self.sns, self.s3, self.secrets = (
            aws_client(service, aws, REGION) for service in ("sqs", "sns", "s3", "secretsmanager")
        )
        self.s3.create_bucket(Bucket=BUCKET)
        self.version = 0
        self.lambdas = ""
        self.topic = self.sns.create_topic(Name=f"sluice-{STAGE}-alerts.fifo", Attributes={"FifoTopic": "true"})[
            "TopicArn"
        ]
        self.letters = self._queue("notification-letters.fifo")
        self.messages = self._queue("notification-messages.fifo", MOST_RECEIVES)
        self.deliveries = self._queue("notification-deliveries.fifo", MOST_RECEIVES)
        self.attempts = self.sqs.create_queue(QueueName=f"sluice-{STAGE}-attempts")["QueueUrl"]
        self.sns.subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint=self.arn(self.messages),
            Attributes={"RawMessageDelivery": "true"},
        )

    def _queue(self, name: str, most_receives: int | None = None) -> str:
        attributes = {"FifoQueue": "true", "VisibilityTimeout": str(HIDDEN_SECONDS)}
        if most_receives:
            redrive = {"deadLetterTargetArn": self.arn(self.letters), "maxReceiveCount": str(most_receives)}
            attributes["RedrivePolicy"] = json.dumps(redrive)
        return str(self.sqs.create_queue(QueueName=f"sluice-{STAGE}-{name}", Attributes=attributes)["QueueUrl"])

    def arn(self, url: str) -> str:
        return str(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])

    def test(self, destination_id: str, version: int = 1) -> dict[str, Any]:
        """Have a destination tested, as admin does."""
        asked = {"destination_id": destination_id, "version": version, "stage": STAGE, "correlation_id": "c-test"}
        function = aws_client("lambda", self.lambdas, REGION)
        answer = function.invoke(FunctionName="sluice-local-notify", Payload=json.dumps({"test": asked}))
        tested: dict[str, Any] = json.load(answer["Payload"])["result"]
        return tested

    def workers(self) -> list[int]:
        """The processes that are in an invocation or wait for one."""
        with urllib.request.urlopen(f"{self.lambdas}/_model/functions") as answer:
            (function,) = json.load(answer).values()
        return list(function["workers"])

    def tell(self, *destinations: Destination) -> None:
        """Publish destinations, with their secrets."""
        self.version += 1
        for each in destinations:
            path = {"pagerduty": "pagerduty/v2/enqueue"}.get(each.kind, f"{each.kind}/{each.destination_id}")
            secret = {"url": f"{self.receivers}/{path}", "routing_key": "r" * 32, "signing_key": SIGNING_KEY}
            self.secrets.create_secret(Name=each.secret, SecretString=json.dumps(secret))
        body = write_document(DESTINATIONS, self.version, destinations)
        self.s3.put_object(Bucket=BUCKET, Key=name_in_bucket(DESTINATIONS), Body=body)

    def publish(self, *messages: AlertMessage) -> None:
        for each in messages:
            self.sns.publish(
                TopicArn=self.topic,
                Message=msgspec.json.encode(each).decode(),
                MessageGroupId=each.incident_id,
                MessageDeduplicationId=f"{each.incident_id}-{each.sequence}",
            )

    def spoil(self, path: str, kind: str) -> None:
        body = json.dumps({"path": path, "kind": kind}).encode()
        request = urllib.request.Request(
            f"{self.receivers}/fault", body, {"content-type": "application/json"}, method="PUT"
        )
        urllib.request.urlopen(request).close()

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.receivers}{path}") as answer:
            return json.load(answer)

    def received(self, path: str) -> list[dict[str, Any]]:
        return [each for each in self.ask("/received")["received"] if each["path"].startswith(path)]

    def texts(self, name: str) -> list[str]:
        return [each["body"]["text"] for each in self.received(f"/slack/{name}")]

    def reports(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while batch := self.sqs.receive_message(QueueUrl=self.attempts, MaxNumberOfMessages=10).get("Messages"):
            for each in batch:
                found.append(json.loads(each["Body"]))
                self.sqs.delete_message(QueueUrl=self.attempts, ReceiptHandle=each["ReceiptHandle"])
        return found

    def left(self, url: str) -> int:
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return sum(map(int, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"].values()))


@pytest.fixture(scope="module")
def receivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("receivers") / "receivers.log"
    with listening() as listener, log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.receivers", "--fd", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            wait_until_it_answers(f"{url}/received", process, log)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def lambdas_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[["Chain"], ModelProcess]]:
    directory = tmp_path_factory.mktemp("notify")
    models = []

    def start(chain: Chain) -> ModelProcess:
        environment = {
            "AWS_ENDPOINT_URL": chain.aws,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "POWERTOOLS_SERVICE_NAME": "notify",
            "POWERTOOLS_METRICS_NAMESPACE": "Sluice/local",
            "CONTROL_BUCKET": BUCKET,
            "DESTINATION_S3_SECONDS": "2",
            "MESSAGES_QUEUE": chain.messages,
            "DELIVERIES_QUEUE": chain.deliveries,
            "LETTERS_QUEUE": chain.letters,
            "ATTEMPTS_QUEUE": chain.attempts,
            "NOTIFY_LOOPBACK": chain.receivers.removeprefix("http://"),
        }
        function = FunctionConfig(
            name="sluice-local-notify",
            arn=FUNCTION,
            handler="handler.handler",
            runtime="python3.13",
            directory=str(ROOT / "functions" / "notify"),
            memory_mb=512,
            timeout_seconds=HIDDEN_SECONDS,
            concurrency=10,
            workers=4,
            started=4,
            environment=environment,
            layers=[str(ROOT / "layers" / "sluice" / "python")],
        )
        model = running("lambdas", LambdasConfig(REGION, sys.executable, str(directory), [function]), directory)
        models.append(model)
        return model.__enter__()

    yield start
    for each in models:
        each.__exit__(None, None, None)


@pytest.fixture(scope="module")
def chain(
    receivers: str, lambdas_of: Callable[[Chain], ModelProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chain]:
    with emulated_aws() as aws:
        chain = Chain(aws, receivers)
        lambdas = lambdas_of(chain)
        chain.lambdas = lambdas.url
        mappings = [
            QueueMappingConfig(url, True, chain.arn(url), url, FUNCTION, HIDDEN_SECONDS, 1, 0, at_once, True)
            for url, at_once in ((chain.messages, 2), (chain.deliveries, 4))
        ]
        settings = QueueSourceConfig(REGION, lambdas.url, aws, mappings)
        with running("queue_source", settings, tmp_path_factory.mktemp("queue_source")):
            yield chain


def incident(name: str, **changes: Any) -> AlertMessage:
    return make_message(incident_id=name, examples=(name,), **changes)


@pytest.fixture(scope="module")
def told(chain: Chain) -> Chain:
    """Destinations of each kind; a process has read them, so that later ones are in force within 30 seconds."""
    names = ("ops", "slow", "busy", "broken", "moved", "killed")
    pager = make_destination("pager", kind="pagerduty", fleet_id="paged")
    own = make_destination("own", kind="https", fleet_id="paged")
    chain.tell(*(make_destination(name, fleet_id=name) for name in names), pager, own)
    return chain


def test_an_incident_is_told_from_beginning_to_end_once_and_in_order(told: Chain) -> None:
    opened = replace(OPENED, fleet_id="paged")
    updated = replace(opened, sequence=2, happening="updated")
    resolved = replace(RESOLVED, fleet_id="paged", sequence=3)
    # Also sent twice, as alert does after a crash.
    told.publish(opened, updated, opened, resolved, updated)
    eventually(lambda: len(told.received("/https/own")) == 3 and len(told.received("/pagerduty")) == 3)
    time.sleep(1)

    events = [each["body"]["event_action"] for each in told.received("/pagerduty")]
    assert events == ["trigger", "trigger", "resolve"]
    assert told.ask("/incidents") == [{"key": opened.incident_id, "state": "resolved"}]
    posted = told.received("/https/own")
    assert [each["body"]["sequence"] for each in posted] == [1, 2, 3]
    for each, message in zip(posted, (opened, updated, resolved), strict=True):
        headers = each["headers"]
        signed = f"{headers['sluice-timestamp']}.".encode() + msgspec.json.encode(message)
        expected = hmac.new(SIGNING_KEY.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["sluice-signature"] == f"v1={expected}"
        assert headers["x-correlation-id"] == opened.correlation_id
    outcomes = [(each["destination_id"], each["sequence"], each["outcome"]) for each in told.reports()]
    assert sorted(outcomes) == [(name, sequence, "delivered") for name in ("own", "pager") for sequence in (1, 2, 3)]


def test_an_admin_tests_destinations_without_an_incident(told: Chain) -> None:
    before, letters = told.received(""), told.left(told.letters)
    tested = [told.test(name) for name in ("ops", "own", "pager")]
    told.spoil("/slack/ops", "redirect")
    refused, unknown = told.test("ops"), told.test("ops", version=2)
    told.spoil("/slack/ops", "none")

    assert [(each["outcome"], each["status"]) for each in tested] == [
        ("delivered", 200),
        ("delivered", 204),
        ("delivered", 202),
    ]
    assert (refused["outcome"], unknown["outcome"]) == ("refused", "failed")
    assert "redirects are not followed" in refused["detail"]
    assert "does not have this version of the destination" in unknown["detail"]
    received = told.received("")[len(before) :]
    assert [each["path"] for each in received] == ["/slack/ops", *["/https/own"] * 2, *["/pagerduty/v2/enqueue"] * 2]
    assert received[0]["body"]["text"].startswith("🔧 Test:")
    assert [each["body"]["test"] for each in received[1:3]] == [True, True]
    assert {each["state"] for each in told.ask("/incidents")} == {"resolved"}
    assert (told.reports(), told.left(told.letters)) == ([], letters)


@pytest.mark.shows_fault(
    part="SNS, webhooks",
    fault="throttle, 5xx, hang, no name",
    expected="other destinations are notified at once; this one when it answers, in order",
)
def test_a_destination_that_hangs_delays_no_other(told: Chain) -> None:
    told.spoil("/slack/slow", "hang")
    told.publish(*(incident(f"hanging-{number}", fleet_id="slow") for number in range(5)))
    eventually(lambda: told.ask("/received")["asked"].get("/slack/slow"))
    began = time.monotonic()
    told.publish(*(incident(f"well-{number}", fleet_id="ops") for number in range(5)))
    eventually(lambda: len(told.texts("ops")) == 5)

    # One of five waiting messages is tried at a time: the four that run at once are not taken up by them.
    assert told.ask("/received")["asked"]["/slack/slow"] <= 2 + (time.monotonic() - began) / TOTAL_SECONDS
    assert told.texts("slow") == []
    told.spoil("/slack/slow", "none")
    eventually(lambda: len(told.texts("slow")) == 5)


@pytest.mark.shows_fault(part="SNS, webhooks", fault="throttle, 5xx, hang, no name")
def test_a_destination_that_is_busy_is_asked_when_it_said(told: Chain) -> None:
    told.spoil("/slack/busy", "busy")
    told.publish(incident("b", fleet_id="busy"), incident("b", fleet_id="busy", sequence=2, happening="updated"))
    eventually(lambda: told.ask("/received")["asked"].get("/slack/busy"))
    told.spoil("/slack/busy", "none")
    eventually(lambda: len(told.texts("busy")) == 2)

    assert ["update" in text for text in told.texts("busy")] == [False, True]
    failed, *_ = (each for each in told.reports() if each["destination_id"] == "busy")
    assert (failed["outcome"], failed["status"]) == ("failed", 429)


@pytest.mark.shows_loss_path(
    section="On the way to people",
    fails="notify dies in an attempt",
    event_is="the message is in its queue, hidden for three minutes",
    told="`notify-errors`",
    comes_back="it is sent then; twice if the destination had taken it",
)
@pytest.mark.shows_fault(
    part="notify", fault="killed in an attempt", expected="the message is sent when it is visible again, and in order"
)
def test_a_process_that_dies_in_an_attempt_loses_no_message(told: Chain) -> None:
    told.spoil("/slack/killed", "hang")
    told.publish(incident("k", fleet_id="killed"), incident("k", fleet_id="killed", sequence=2, happening="updated"))
    eventually(lambda: told.ask("/received")["asked"].get("/slack/killed"))
    for worker in told.workers():
        os.kill(worker, signal.SIGKILL)
    told.spoil("/slack/killed", "none")
    eventually(lambda: len(told.texts("killed")) == 2)

    assert ["update" in text for text in told.texts("killed")] == [False, True]


@pytest.mark.shows_loss_path(
    section="On the way to people",
    fails="a destination refuses a notification, or takes none of eight attempts",
    event_is="the message about its incident is among the dead letters of notifications, for 14 days",
    told="`notifications-letters`",
    comes_back="`sluice notifications redrive`, after the cause is repaired",
)
@pytest.mark.shows_fault(
    part="SNS, webhooks",
    fault="redirect to a metadata service, 404",
    expected="not followed; a dead letter that is delivered after a re-drive",
)
def test_what_is_refused_is_a_dead_letter_and_is_told_after_a_redrive(
    told: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told.spoil("/slack/moved", "redirect")
    told.spoil("/slack/broken", "gone")
    told.publish(incident("m", fleet_id="moved"), incident("x", fleet_id="broken"))
    eventually(lambda: told.left(told.letters) == 2)
    where = ["--dir", str(tmp_path)]
    stack = {"stage": STAGE, "region": REGION, "aws": told.aws, "admin": {"access_key": "a", "secret_key": "s"}}
    (tmp_path / "stack.json").write_text(json.dumps(stack))

    assert main([*LIST, "--json", *where]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["found"] == 2
    assert {each["destination_id"]: each["detail"] for each in listed["items"]} == {
        "moved": "127.0.0.1 answered 307: redirects are not followed",
        "broken": "127.0.0.1 answered 404: no_service",
    }
    told.spoil("/slack/broken", "none")
    assert main(["notifications", "redrive", "--destination", "broken", "--yes", *where]) == 0
    eventually(lambda: len(told.texts("broken")) == 1)
    assert told.left(told.letters) == 1
    assert main(["notifications", "discard", "--yes", *where]) == 0
    assert told.left(told.letters) == 0
