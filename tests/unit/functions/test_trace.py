"""What trace answers during any outage: of the files, the numbers or the keys' store."""

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from functions.trace import handler
from sluice.core.api.keys import PublishedKey, Site, compose_key, hash_key
from sluice.core.api.quotas import Quota
from sluice.core.errors import Refusal, Retryable
from sluice.core.records import Origin
from sluice.core.trace.incidents import TracedAttempt, TracedIncident, TracedMessage
from sluice.core.trace.lake_search import EventSearch, Problem, SearchResult, StoredCopy
from sluice.core.trace.outcomes import DeviceNumbers, Numbers, TracedSample, Who
from sluice.edge.api.gate import Gate
from sluice.edge.correlation import logger
from sluice.edge.metrics import metrics
from sluice.edge.trace.tracing import Tracer

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ID = "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d21"
SITE = Site("test", "us-east-1")
KEY = compose_key("test", "K" * 16, "s" * 43)
STORED = PublishedKey("K" * 16, "demo", "reader", hash_key(KEY), 100.0, 10.0)
COPY = StoredCopy(
    Origin("raw-events", 4, 7),
    "demo",
    "press-1",
    NOW,
    NOW,
    (),
    "telemetry",
    2,
    "2.4.1",
    "telemetry",
    "c-1",
    1,
    "s3://raw/7.parquet",
)
COUNTED = Numbers({("demo", "press-1"): DeviceNumbers((TracedSample(NOW, 3, ()),))}, {COPY.origin: "done"}, None)


@dataclass
class World:
    """Everything around trace."""

    found: SearchResult | Exception = field(default_factory=lambda: SearchResult((COPY,), ()))
    numbers: Numbers | Exception = COUNTED
    key: PublishedKey = STORED
    over: str | None = None
    wanted: list[EventSearch] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    unavailable: list[float] = field(default_factory=list)
    """How many sources every trace lacked, as CloudWatch finds it by the function's name and nothing else."""

    def find(self, _key_id: str, _now: datetime) -> PublishedKey:
        return self.key

    def exceeded(self, name: str, quota: Quota, _events: int, _now: datetime) -> str | None:
        self.asked.append((name, quota.events))
        return self.over

    def ask(self, wanted: EventSearch, _kind: type[SearchResult]) -> SearchResult:
        self.wanted.append(wanted)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def begin(self) -> None:
        self.asked.append("begin")

    def read(self, event_id: str, devices: list[Who], origins: set[Origin]) -> Numbers:
        self.asked.append((event_id, devices, origins))
        if isinstance(self.numbers, Exception):
            raise self.numbers
        return self.numbers

    def tracer(self) -> Tracer:
        played = cast("Any", self)
        return Tracer(Gate("trace", SITE, 0.1, played, played), 130, played, played, played, lambda: NOW)

    def count(self) -> None:
        """Take what the decorator around the handler would have written, and clear it as the decorator does."""
        assert metrics.dimension_set == {}
        self.unavailable += metrics.metric_set.get("SourcesUnavailable", {}).get("Value", [])
        metrics.clear_metrics()

    def get(self, event_id: str = ID, query: str = "", key: str = KEY) -> tuple[int, Any]:
        """Ask as a reader does."""
        event = {
            "routeKey": "GET /v1/trace/{event_id}",
            "rawQueryString": query,
            "headers": {"x-api-key": key},
            "pathParameters": {"event_id": event_id},
            "requestContext": {"requestId": "r-1", "timeEpoch": int(NOW.timestamp() * 1000)},
        }
        try:
            answer = self.tracer().answer_reader(event, retry_after=7)
        finally:
            self.count()
        if answer.status == 503:
            assert answer.headers["retry-after"] == "7"
        return answer.status, json.loads(answer.body)

    def call(self, **call: Any) -> dict[str, Any]:
        """Ask as an operator does."""
        try:
            return self.tracer().answer_operator(call, retry_after=7)
        finally:
            self.count()


@pytest.fixture(autouse=True)
def _named_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "trace")


def test_a_reader_gets_the_facts() -> None:
    world = World()
    status, document = world.get()
    assert (status, document["verdict"]) == (200, "accepted")
    assert document["events"][0]["copies"][0]["outcome"] == "counted"
    assert document["asked"]["event_id"] == ID
    assert document["visible_after_seconds"] == 130
    assert world.asked[-1] == (ID, [("demo", "press-1")], {COPY.origin})


def test_attempts_to_deliver_a_message_are_for_operators() -> None:
    attempt = TracedAttempt("ops", 1, "delivered", 204, NOW)
    message = TracedMessage(1, "opened", "c-7", NOW, NOW, (attempt,))
    incident = TracedIncident("i-1", "hot", "cpu_temp", "critical", "open", NOW, "c-7", (message,))
    world = World(numbers=msgspec.structs.replace(COUNTED, incidents={("demo", "press-1"): (incident,)}))
    _, to_reader = world.get()
    for document, attempts in ((to_reader, 0), (world.call(event_id=ID), 1)):
        (shown,) = document["events"][0]["incidents"][0]["messages"]
        assert (shown["correlation_id"], len(shown["attempts"] or ())) == ("c-7", attempts)


def test_a_reader_asks_about_the_keys_own_fleet_only() -> None:
    world = World()
    world.get(query="device_id=press-9")
    (wanted,) = world.wanted
    assert (wanted.fleet_id, wanted.device_id, wanted.correlation_id) == ("demo", "press-9", "r-1")
    assert world.get(query="fleet_id=acme")[0] == 400


def test_only_a_reader_key_is_accepted() -> None:
    assert World().get(key="")[0] == 401
    assert World(key=msgspec.structs.replace(STORED, role="device")).get()[0] == 403


def test_a_key_may_ask_seldom_and_a_question_that_is_refused_is_not_counted() -> None:
    world = World(over="events")
    status, problem = world.get()
    assert (status, problem["code"], problem["detail"]) == (
        429,
        "quota_requests",
        "This key may ask 1 times in 10 s.",
    )
    assert world.asked == [(f"trace/{STORED.key_id}", 0.1)]
    assert world.wanted == []
    world.asked.clear()
    assert world.get(event_id=" ")[1]["code"] == "invalid_event_id"
    assert world.asked == []


def test_nothing_found_is_an_answer_and_says_that_the_numbers_were_not_asked() -> None:
    status, document = World(found=SearchResult((), ())).get()
    assert (status, document["verdict"]) == (200, "never_received")
    assert document["unasked"] == [{"source": "numbers", "reason": "device_unknown"}]


@pytest.mark.parametrize(
    ("away", "reason"),
    [
        (Retryable("seek is away"), "unavailable"),
        (SearchResult(problem="timeout"), "timeout"),
        (SearchResult(problem="too_much"), "too_much"),
    ],
)
def test_without_the_files_the_numbers_are_returned(away: SearchResult | Exception, reason: str) -> None:
    world = World(found=away)
    status, document = world.get(query="device_id=press-1")
    assert (status, document["verdict"]) == (200, "accepted")
    assert document["unasked"] == [
        {"source": "raw", "reason": reason},
        {"source": "dead_letters", "reason": reason},
    ]
    assert world.unavailable == [2.0 if reason == "unavailable" else 0.0]


@pytest.mark.parametrize(
    ("away", "reason"), [(Retryable("the database is away"), "unavailable"), (Refusal(503, "too_slow", "…"), "timeout")]
)
def test_without_the_numbers_the_files_are_returned(away: Exception, reason: str) -> None:
    world = World(numbers=away)
    status, document = world.get()
    assert (status, document["verdict"]) == (200, "accepted")
    assert document["events"][0]["copies"][0]["outcome"] == "unknown"
    assert document["unasked"] == [{"source": "numbers", "reason": reason}]
    assert world.unavailable == [1.0]


@pytest.mark.parametrize(
    ("problem", "code"),
    [("timeout", "trace_timeout"), ("too_much", "trace_timeout"), ("unavailable", "trace_unavailable")],
)
def test_without_either_there_is_a_problem_that_says_which(problem: Problem, code: str) -> None:
    world = World(found=SearchResult(problem=problem), numbers=Retryable("the database is away"))
    for query in ("device_id=press-1", ""):
        status, document = world.get(query=query)
        assert (status, document["code"]) == (503, code)


def test_an_unanswered_question_is_counted_where_the_alarm_looks() -> None:
    world = World(found=Retryable("seek is away"), numbers=Retryable("the database is away"))
    assert world.get(query="device_id=press-1")[0] == 503
    assert world.call(event_id=ID)["code"] == "trace_unavailable"
    assert "name fleet and device" in world.call(event_id=ID)["detail"]
    assert "Neither" in world.call(event_id=ID, fleet_id="acme", device_id="press-1")["detail"]
    # The files alone, of no device that is known.
    assert world.unavailable == [3.0, 2.0, 2.0, 3.0]


def test_an_operator_asks_of_every_fleet_and_without_a_key() -> None:
    world = World()
    assert world.call(event_id=ID)["verdict"] == "accepted"
    assert world.wanted[0].fleet_id is None
    assert world.call(event_id=ID, fleet_id="acme")["asked"]["fleet_id"] == "acme"
    assert not [one for one in world.asked if "trace/" in str(one)]


def test_an_operator_gets_problems_as_the_api_writes_them() -> None:
    world = World(found=SearchResult(problem="timeout"), numbers=Retryable("away"))
    assert world.call(event_id=ID)["code"] == "trace_timeout"
    assert world.call(event="x")["code"] == "invalid_call"


# A refusal has a line of its own, so the invocation's is empty.
@pytest.mark.filterwarnings("ignore:No application metrics")
def test_the_gateways_requests_are_distinguished_from_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(handler, "build", world.tracer)
    monkeypatch.setattr(metrics.provider, "namespace", "test")
    assert handler.handler({"event_id": ID}, None)["verdict"] == "accepted"
    request = {
        "event_id": ID,
        "requestContext": {"requestId": "r-1", "timeEpoch": 0},
        "routeKey": "GET /",
        "headers": {},
    }
    assert handler.handler(request, None)["statusCode"] == 401


def test_every_log_line_of_a_request_bears_its_correlation_id_and_no_other_line_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(found=Retryable("seek is away"))
    monkeypatch.setattr(handler, "build", world.tracer)
    monkeypatch.setattr(metrics.provider, "namespace", "test")
    written = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    context = {"requestId": "r-1", "timeEpoch": int(NOW.timestamp() * 1000)}
    request = {
        "requestContext": context,
        "routeKey": "GET /v1/trace/{event_id}",
        "pathParameters": {"event_id": ID},
        "headers": {"x-api-key": KEY, "x-correlation-id": "site-7"},
    }
    handler.handler(request, None)
    handler.handler(request | {"headers": {"x-api-key": KEY}}, None)
    handler.handler({"event_id": ID}, None)
    logger.warning("between requests")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line.get("correlation_id") for line in lines] == ["site-7", "r-1", "operator", None]
