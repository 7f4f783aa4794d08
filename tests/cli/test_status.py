"""A stage's health at a glance: what is known is shown, and what cannot be asked is said."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import boto3
import confluent_kafka
import msgspec
import pytest
import redis
from moto import mock_aws

from cli import health
from cli.__main__ import main
from cli.profile.file import Profile, save_profiles
from sluice.core.ingest.pressure import Snapshot

STAGE = "prod"
ENDS = {
    ("raw-events", 0): (100, 150),
    ("raw-events", 1): (0, 20),
    ("dead-letter", 0): (0, 0),
    ("replay-events", 0): (30, 40),
    ("alert-events", 0): (0, 9),
}
DOCUMENTS: dict[str, Any] = {"/health": {"status": "ok"}, "/v1/fleets/demo": {"freshness_seconds": 1.25}}
COMMITTED = {"archive": 150, "aggregate": 120, "deadletter": -1001, "recount": 33, "detect": 145, "alert": 5}


class Answers(BaseHTTPRequestHandler):
    """An API whose database answers, or does not."""

    database = True

    def do_GET(self) -> None:
        allowed = self.path == "/health" or self.headers["x-api-key"] == "reader"
        self.send_response(200 if allowed and self.database else 503)
        self.end_headers()
        self.wfile.write(json.dumps(DOCUMENTS[self.path]).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Broker:
    """A client of brokers with three topics."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.group = settings["group.id"]

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert timeout > 0
        numbers = {number: None for name, number in ENDS if name == topic}
        return type("Listed", (), {"topics": {topic: type("Topic", (), {"partitions": numbers})}})

    def committed(self, places: list[Any], timeout: float) -> list[Any]:
        assert timeout > 0
        committed = COMMITTED[self.group]
        return [
            confluent_kafka.TopicPartition(place.topic, place.partition, committed if place.partition == 0 else 20)
            for place in places
        ]

    def get_watermark_offsets(self, place: Any, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return ENDS[place.topic, place.partition]

    def close(self) -> None:
        """End."""


class AwayBroker(Broker):
    """A client that reaches no broker."""

    def list_topics(self, topic: str, timeout: float) -> Any:  # noqa: ARG002
        raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT))


class CacheOf:
    """A cache with a snapshot of the pressure."""

    def __init__(self, share: float) -> None:
        now = datetime.now(UTC)
        self.value = msgspec.json.encode(Snapshot(now, now + timedelta(seconds=60), share, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def get(self, _name: str) -> bytes:
        return self.value


@pytest.fixture
def api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def stack(api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local stack in which all is well."""
    described = {
        "api": api,
        "fleet": "demo",
        "keys": {"reader": "reader"},
        "broker": "nowhere",
        "cache": "redis://nowhere",
        "consumers": {name: name for name in COMMITTED},
    }
    (tmp_path / "stack.json").write_text(json.dumps(described))
    monkeypatch.setattr(confluent_kafka, "Consumer", Broker)
    monkeypatch.setattr(redis.Redis, "from_url", lambda _address, **_options: CacheOf(0))
    return tmp_path


def test_the_local_stack_is_shown_line_by_line(stack: Path, api: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--dir", str(stack)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"stage      local, {api}",
        "health     ok",
        "freshness  1.2 s",
        "refused    0% of requests",
        "unread     archive 0, aggregate 30, deadletter 0, recount 7, detect 5, alert 4",
    ]


def test_in_json_every_part_has_its_member(stack: Path, api: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--dir", str(stack), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "stage": "local",
        "api": api,
        "health": "ok",
        "freshness_seconds": 1.25,
        "refused_share": 0.0,
        "unread": {"archive": 0, "aggregate": 30, "deadletter": 0, "recount": 7, "detect": 5, "alert": 4},
        "alarms": None,
        "problems": {},
    }


def test_what_cannot_be_asked_is_said_beside_what_is_known(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Answers, "database", False)
    monkeypatch.setattr(confluent_kafka, "Consumer", AwayBroker)
    assert main(["status", "--dir", str(stack)]) == 1
    said = capsys.readouterr().out
    assert "health     unknown: the API answered 503 Service Unavailable" in said
    assert "unread     unknown: the brokers do not answer: " in said
    assert "refused    0% of requests" in said


def test_a_stack_that_has_counted_nothing_is_fresh_without_a_number(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(DOCUMENTS, "/v1/fleets/demo", {"freshness_seconds": None})
    assert main(["status", "--dir", str(stack)]) == 0
    assert "freshness  no event was counted yet" in capsys.readouterr().out


def test_requests_that_are_refused_are_no_good_state(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(redis.Redis, "from_url", lambda _address, **_options: CacheOf(0.4))
    assert main(["status", "--dir", str(stack)]) == 1
    assert "refused    40% of requests" in capsys.readouterr().out


def test_a_consumer_that_committed_nothing_has_all_that_is_kept_before_it() -> None:
    assert health._count_behind((100, 150), -1001) == 50
    assert health._count_behind((100, 150), 150) == 0


@pytest.fixture
def deployed(api: str) -> Iterator[Any]:
    """The stage prod, known by a profile, with three alarms."""
    save_profiles({"live": Profile(STAGE, "eu-central-1", None, api, {})})
    with mock_aws():
        client = boto3.client("cloudwatch", "eu-central-1")
        for name in ("sluice-prod-api-failures", "sluice-prod-quiet", "sluice-production-other"):
            client.put_metric_alarm(
                AlarmName=name,
                AlarmDescription="Requests fail.",
                MetricName="5xx",
                Namespace="AWS/ApiGateway",
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
            )
        yield client


def alarm(client: Any, *names: str) -> None:
    for name in names:
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="for a test")


def test_a_deployed_stage_in_order_has_no_alarm_of_its_own(
    deployed: Any, api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alarm(deployed, "sluice-production-other")
    assert main(["status", "--stage", "live"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"stage      prod, {api}",
        "health     ok",
        "alarms     none in ALARM",
    ]


def test_a_deployed_stages_alarms_are_named(deployed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    alarm(deployed, "sluice-prod-api-failures")
    assert main(["status", "--stage", "live", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["alarms"]
    assert (found["name"], found["why"]) == ("sluice-prod-api-failures", "Requests fail.")
    assert main(["status", "--stage", "live"]) == 1
    assert "sluice-prod-api-failures since 2" in capsys.readouterr().out
