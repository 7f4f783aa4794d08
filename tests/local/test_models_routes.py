"""Which route a request takes, and how often it may."""

import pytest

from local.models.config import RouteConfig, ThrottleConfig
from local.models.routes import Router
from local.models.throttle import Throttle

ROUTES = [
    "GET /v1/{proxy+}",
    "ANY /v1/devices/{device}",
    "GET /v1/devices/{device}",
    "GET /v1/devices/all",
    "POST /v1/events",
]


def router(*keys: str) -> Router:
    return Router([RouteConfig(key, "arn", 1000) for key in keys])


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("POST", "/v1/events", "POST /v1/events", {}),
        ("GET", "/v1/devices/all", "GET /v1/devices/all", {}),
        ("GET", "/v1/devices/d 1", "GET /v1/devices/{device}", {"device": "d 1"}),
        ("PUT", "/v1/devices/d1", "ANY /v1/devices/{device}", {"device": "d1"}),
        ("GET", "/v1/devices/d1/last", "GET /v1/{proxy+}", {"proxy": "devices/d1/last"}),
        ("GET", "/", "$default", {}),
        ("DELETE", "/v1/events", "$default", {}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, route: str, parameters: dict[str, str]) -> None:
    match = router(*ROUTES, "$default").find(method, path)

    assert match is not None
    assert match.route.config.key == route
    assert match.parameters == parameters


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/events"), ("POST", "/v1"), ("POST", "/v1/events/more")])
def test_without_a_default_other_requests_have_no_route(method: str, path: str) -> None:
    assert router("POST /v1/events").find(method, path) is None


def test_a_throttle_admits_the_burst_at_once_and_then_the_rate() -> None:
    now = [0.0]
    throttle = Throttle(ThrottleConfig(rate=10, burst=5), clock=lambda: now[0])

    assert [throttle.admits() for _ in range(6)] == [True] * 5 + [False]
    now[0] = 0.25
    assert [throttle.admits() for _ in range(3)] == [True, True, False]
    now[0] = 100
    assert [throttle.admits() for _ in range(6)] == [True] * 5 + [False]
