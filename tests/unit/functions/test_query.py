"""What query's handler adds to its routes, which the tests of `tests/database` walk: the log of a refused request."""

import io
import json
from typing import Any, cast

import pytest

from functions.query import handler
from sluice.core.api.keys import Site, compose_key
from sluice.core.errors import Retryable
from sluice.edge.api.gate import Gate
from sluice.edge.correlation import logger
from sluice.edge.query.routes import Query

KEY = compose_key("test", "K" * 16, "s" * 43)


class Away:
    """The database of keys, which is away, and a reader that starts and gets no request."""

    @property
    def reader(self) -> "Away":
        return self

    def begin(self) -> None: ...

    def find(self, *_: object) -> None:
        raise Retryable("connection refused")


# A refusal has a line of its own, so the invocation's is empty.
@pytest.mark.filterwarnings("ignore:No application metrics")
def test_the_log_says_why_a_request_was_refused_with_its_correlation_id(monkeypatch: pytest.MonkeyPatch) -> None:
    away: Any = Away()
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    monkeypatch.setattr(handler, "build", lambda: Query(Gate("reader", Site("test", "us-east-1"), 1, away, away), away))
    written = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    for correlation_id in ("site-7", "site-8"):
        answer = handler.handler(
            {
                "routeKey": "GET /v1/fleets",
                "headers": {"x-api-key": KEY, "x-correlation-id": correlation_id},
                "requestContext": {"requestId": "r-1", "timeEpoch": 0},
            },
            None,
        )
        assert answer["statusCode"] == 429
    lines = [cast("dict[str, Any]", json.loads(line)) for line in written.getvalue().splitlines()]
    assert [(line["correlation_id"], line["code"], line["reason"]) for line in lines] == [
        ("site-7", "keys_unavailable", "connection refused"),
        ("site-8", "keys_unavailable", "connection refused"),
    ]
