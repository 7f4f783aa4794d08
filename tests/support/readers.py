"""A reader of query: real requests, a real database, and a fake directory and cache."""

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast
from unittest import mock

import msgspec
import psycopg

from functions.query.handler import compose
from local.models.config import RouteConfig
from local.models.routes import Router
from local.seed import insert_key
from sluice.core.api.keys import PublishedKey
from sluice.core.errors import Retryable
from sluice.core.metrics import REQUESTS_REFUSED, Metric
from sluice.core.query.groups import Group, GroupAnswer, GroupName, GroupNames, GroupQuestion
from sluice.edge.api import gate
from sluice.edge.api.keystore import KeyStore, by_id
from sluice.edge.cache import Cache
from sluice.edge.control.sources import read_keys
from sluice.edge.database import Connection, Database
from sluice.edge.invoked import InvokedFunction
from sluice.edge.query.routes import ROUTES
from sluice.edge.settings import QuerySettings

STAGE = "test"
FLEET = "demo"
SETTINGS = QuerySettings(
    sluice_stage=STAGE,
    aws_region="us-east-1",
    control_bucket="control",
    key_valkey_seconds=30,
    key_s3_seconds=240,
    query_concurrency=1,
    query_requests_per_second=1000,
    query_answer_seconds=5,
    recent_seconds=300,
    change_hours=72,
    lookup_function="lookup",
    lookup_seconds=1,
    lookup_rest_seconds=30,
    group_believed_seconds=60,
    recall_function="recall",
    recall_seconds=1,
    redrive_function="redrive",
    letters_seconds=1,
    letters_believed_seconds=300,
)
ROUTER = Router([RouteConfig(key, "arn", 1000) for key in (*ROUTES, "GET /health")])


@dataclass(frozen=True)
class Got:
    """An answer as the reader sees it."""

    status: int
    headers: dict[str, str]
    body: Any

    def __iter__(self) -> Any:
        return iter((self.status, self.body))


@dataclass
class Functions:
    """Fakes of the functions that query invokes."""

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    away: bool = False
    rows: Callable[[bytes], bytes] = lambda _: b'{"rows": []}'
    letters: Callable[[bytes], bytes] = lambda _: (
        b'{"result": {"items": [], "found": 0, "letters": 0, "complete": true}}'
    )

    def recall(self, payload: bytes) -> bytes:
        return self.rows(payload)

    def redrive(self, payload: bytes) -> bytes:
        return self.letters(payload)

    def lookup(self, payload: bytes) -> bytes:
        wanted = msgspec.json.decode(payload, type=GroupQuestion)
        self.asked.append(wanted)
        if self.away:
            raise Retryable("the function is away")
        if wanted.group_id is None:
            return msgspec.json.encode(
                GroupAnswer(groups=GroupNames(tuple(GroupName(name, name) for name in self.groups)))
            )
        if wanted.group_id not in self.groups:
            return msgspec.json.encode(GroupAnswer(problem="unknown"))
        return msgspec.json.encode(
            GroupAnswer(group=Group(wanted.group_id, wanted.group_id, self.groups[wanted.group_id]))
        )


class Played(InvokedFunction):
    """A function that is called instead of being invoked."""

    def __init__(self, call: Callable[[bytes], bytes]) -> None:
        super().__init__("played", 0, "us-east-1")
        self._call = call
        self._client = self

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - as Lambda's client has them
        assert FunctionName == "played"
        return {"Payload": io.BytesIO(self._call(Payload))}


def no_cache() -> Any:
    """A cache that is away."""
    raise OSError("no cache")


class RowKeys:
    """Keys as publish reads them, without a copy in between."""

    def __init__(self, dsn: str) -> None:
        self.away = False
        self._database = Database(partial(psycopg.connect, dsn, user="sluice_publish", autocommit=True), 5)

    def find(self, key_id: str, now: datetime) -> PublishedKey | None:
        if self.away:
            raise Retryable("S3 does not answer")
        found = by_id(read_keys(self._database, now)).get(key_id)
        self._database.close()
        return found


class Reader:
    """A reader with a reader key of the fleet."""

    def __init__(self, dsn: str, *, settings: QuerySettings = SETTINGS, cache: Callable[[], Any] = no_cache) -> None:
        self.functions = Functions()
        # The gateway's clock has milliseconds.
        now = datetime.now(UTC)
        self.now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self.dsn = dsn
        self.seconds = settings.query_answer_seconds
        self.opened: list[Connection] = []
        self.refused: list[tuple[str, str]] = []
        """Requests that were counted by their fleet and the reason."""
        with psycopg.connect(dsn) as connection:
            connection.execute("INSERT INTO fleet (fleet_id) VALUES (%s) ON CONFLICT DO NOTHING", (FLEET,))
            self.key = insert_key(connection, STAGE, FLEET, "reader")
        self.keys = RowKeys(dsn)
        invoked = {"lookup": self.functions.lookup, "recall": self.functions.recall, "redrive": self.functions.redrive}
        self.query = compose(
            settings,
            cast("KeyStore", self.keys),
            Database(self.connect, self.seconds + 1),
            Cache(cache),
            lambda name, *_: Played(invoked[name]),
        )

    def connect(self) -> Connection:
        """Connect as query does: with its role and its grants only."""
        timeout = int(self.seconds * 1000)
        options = f"-c role=sluice_query -c statement_timeout={timeout} -c timezone=Asia/Tokyo"
        self.opened.append(psycopg.connect(self.dsn, autocommit=True, options=options))
        return self.opened[-1]

    def close(self) -> None:
        """Close what query keeps open."""
        for connection in self.opened:
            connection.close()

    def get(self, target: str, *, key: str | None = "", **headers: str) -> Got:
        """Ask for an address."""
        path, _, raw = target.partition("?")
        match = ROUTER.find("GET", path)
        assert match is not None, path
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            given["x-api-key"] = key or self.key
        event = {
            "routeKey": match.route.config.key,
            "rawPath": path,
            "rawQueryString": raw,
            "headers": given,
            "pathParameters": match.parameters,
            "requestContext": {"requestId": "r-1", "timeEpoch": int(self.now.timestamp() * 1000)},
            "isBase64Encoded": False,
        }
        with mock.patch.object(gate, "record_apart", self._record_apart):
            answer = self.query.answer(event, retry_after=3)
        body = gzip.decompress(answer.body) if "content-encoding" in answer.headers else answer.body
        return Got(answer.status, answer.headers, json.loads(body) if body else None)

    def _record_apart(self, metric: Metric, value: float, **dimensions: str) -> None:
        assert (metric, value) == (REQUESTS_REFUSED, 1)
        self.refused.append((dimensions["fleet"], dimensions["reason"]))

    def walk(self, target: str, *, most: int = 1000) -> list[Any]:
        """Read all pages of an address and return the items."""
        items: list[Any] = []
        cursor = None
        for _ in range(most):
            got = self.get(target if cursor is None else f"{target}&cursor={cursor}")
            assert got.status == 200, got.body
            items += got.body["items"]
            cursor = cast("str | None", got.body["next_cursor"])
            if cursor is None:
                return items
        raise AssertionError(f"{target} has no last page")
