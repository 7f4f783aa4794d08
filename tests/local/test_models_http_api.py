"""The model of the HTTP API, as clients and functions see it, with the model of Lambda behind it."""

import base64
import gzip
import http.client
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.models.config import (
    AccessKeyConfig,
    AccessLogConfig,
    FunctionConfig,
    HttpApiConfig,
    LambdasConfig,
    PrincipalConfig,
    RouteConfig,
    StatementConfig,
    ThrottleConfig,
)
from tests.local.model_process import ModelProcess, running
from tests.local.signing import signed

HANDLER = """
import os
import time

def handler(event, context):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(event["rawPath"] + "\\n")
    match event["rawPath"].rpartition("/")[2]:
        case "fail":
            raise ValueError("no good")
        case "sleep":
            time.sleep(3)
        case "bad":
            return {"statusCode": "many"}
        case "teapot":
            return {"statusCode": 418, "headers": {"X-Kind": "tea"}, "cookies": ["a=1", "b=2"], "body": "short"}
    return event
"""
ARN = "arn:aws:lambda:us-east-1:123456789012:function:{}"
FORMAT = (
    '{"route": "$context.routeKey", "status": "$context.status", "bytes": "$context.responseLength", '
    '"error": "$context.error.message", "authorizer": "$context.authorizer.error", '
    '"agent": "$context.identity.userAgent", "ms": "$context.integrationLatency"}'
)
API = "arn:aws:execute-api:us-east-1:123456789012:abc"
PRINCIPALS = [
    PrincipalConfig(
        role="admin",
        arn="arn:aws:iam::123456789012:role/admin",
        id="AROAADMIN",
        keys=[AccessKeyConfig("admins", "admin secret"), AccessKeyConfig("local", "local")],
        statements=[StatementConfig("Allow", ["execute-api:Invoke"], [f"{API}/*/v1/admin/*"])],
    ),
    PrincipalConfig(
        role="operator",
        arn="arn:aws:iam::123456789012:role/operator",
        id="AROAOPERATOR",
        keys=[AccessKeyConfig("operators", "operator secret")],
        statements=[
            StatementConfig("Allow", ["execute-api:Invoke"], [f"{API}/$default/GET/v1/admin/*"]),
            StatementConfig("Deny", ["execute-api:*"], [f"{API}/$default/GET/v1/admin/fleets/hidden"]),
        ],
    ),
]
ADMIN: dict[str, Any] = {"access_key": "admins", "secret_key": "admin secret"}
OPERATOR: dict[str, Any] = {"access_key": "operators", "secret_key": "operator secret"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http_api")


@pytest.fixture(scope="module")
def lambdas(directory: Path) -> Iterator[ModelProcess]:
    (directory / "code").mkdir()
    (directory / "code" / "handler.py").write_text(HANDLER)
    limits = {"many": 10, "one": 1}
    functions = [
        FunctionConfig(
            name=name,
            arn=ARN.format(name),
            handler="handler.handler",
            runtime="python3.13",
            directory=str(directory / "code"),
            memory_mb=128,
            timeout_seconds=10,
            concurrency=concurrency,
            workers=2,
            environment={"CALLS": str(directory / "calls")},
        )
        for name, concurrency in limits.items()
    ]
    settings = LambdasConfig("us-east-1", sys.executable, str(directory / "state"), functions)
    with running("lambdas", settings, directory) as model:
        yield model


@pytest.fixture(scope="module")
def api(lambdas: ModelProcess, directory: Path) -> Iterator[ModelProcess]:
    routes = [
        RouteConfig("POST /v1/events", ARN.format("many"), 10_000),
        RouteConfig("ANY /v1/many/{kind}", ARN.format("many"), 10_000),
        RouteConfig("GET /v1/impatient/{kind}", ARN.format("many"), 300),
        RouteConfig("GET /v1/one/{kind}", ARN.format("one"), 10_000),
        RouteConfig("GET /v1/missing", ARN.format("missing"), 10_000),
        RouteConfig("GET /v1/slow", ARN.format("many"), 10_000, ThrottleConfig(rate=0.001, burst=2)),
        RouteConfig("GET /v1/admin/fleets", ARN.format("many"), 10_000, signed=True),
        RouteConfig("POST /v1/admin/fleets", ARN.format("many"), 10_000, signed=True),
        RouteConfig("GET /v1/admin/fleets/{fleet}", ARN.format("many"), 10_000, signed=True),
        RouteConfig("GET /v1/admin/slow", ARN.format("many"), 10_000, ThrottleConfig(rate=0.001, burst=2), signed=True),
    ]
    log = AccessLogConfig(FORMAT, str(directory / "access.log"))
    settings = HttpApiConfig("abc", "us-east-1", "123456789012", lambdas.url, "$default", routes, log, PRINCIPALS)
    with running("http_api", settings, directory) as model:
        yield model


def request(
    api: ModelProcess, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def event_of(api: ModelProcess, *arguments: Any, **named: Any) -> Any:
    status, body, _ = request(api, *arguments, **named)
    assert status == 200
    return json.loads(body)


def test_a_function_gets_the_request_as_an_event(api: ModelProcess) -> None:
    event = event_of(
        api,
        "POST",
        "/v1/events?a=1&a=2",
        body=b'{"x": "\xc3\xa4"}',
        headers={"Content-Type": "application/json", "X-Api-Key": "k", "Cookie": "c=1", "User-Agent": "device/1"},
    )

    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /v1/events"
    assert (event["rawPath"], event["rawQueryString"]) == ("/v1/events", "a=1&a=2")
    assert event["queryStringParameters"] == {"a": "1,2"}
    assert event["cookies"] == ["c=1"]
    assert event["headers"]["x-api-key"] == "k"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert "cookie" not in event["headers"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"x": "ä"}', False)
    context = event["requestContext"]
    assert context["http"] == {
        "method": "POST",
        "path": "/v1/events",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "device/1",
    }
    assert (context["accountId"], context["apiId"], context["stage"]) == ("123456789012", "abc", "$default")
    assert context["requestId"]


def test_a_compressed_body_passes_through_unharmed(api: ModelProcess) -> None:
    body = gzip.compress(b"[" + b"1," * 1000 + b"1]")
    event = event_of(api, "POST", "/v1/events", body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})

    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body
    assert event["headers"]["content-encoding"] == "gzip"


def test_path_parameters_are_decoded(api: ModelProcess) -> None:
    event = event_of(api, "GET", "/v1/many/a%20b%2525?q=c%20d&q=e%2Cf&q=%252C")

    # Decoded once only: anything that looks encoded after that belongs to the name.
    assert event["pathParameters"] == {"kind": "a b%25"}
    assert event["rawPath"] == "/v1/many/a b%25"
    # The values of one name can no longer be separated; the raw query string has them.
    assert event["queryStringParameters"] == {"q": "c d,e,f,%2C"}
    assert event["rawQueryString"] == "q=c%20d&q=e%2Cf&q=%252C"


def test_a_path_parameter_is_one_part_of_a_path(api: ModelProcess) -> None:
    assert request(api, "GET", "/v1/many/a%2Fb")[0] == 404
    assert request(api, "GET", "/v1/many/")[0] == 404
    assert event_of(api, "GET", "/v1/many/..%20")["pathParameters"] == {"kind": ".. "}


def test_the_functions_answer_is_the_response(api: ModelProcess) -> None:
    status, body, headers = request(api, "GET", "/v1/many/teapot")

    assert (status, body) == (418, b"short")
    assert headers["x-kind"] == "tea"
    assert headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert headers["content-type"] == "text/plain;charset=UTF-8"
    assert headers["apigw-requestid"]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/elsewhere", 404, "Not Found"),
        ("/v1/many/fail", 500, "Internal Server Error"),
        ("/v1/many/bad", 500, "Internal Server Error"),
        ("/v1/missing", 500, "Internal Server Error"),
        ("/v1/impatient/sleep", 503, "Service Unavailable"),
    ],
)
def test_the_gateways_own_answers(api: ModelProcess, path: str, status: int, text: str) -> None:
    found, body, headers = request(api, "GET", path)

    assert (found, json.loads(body)) == (status, {"message": text})
    assert headers["content-type"] == "application/json"


def sign(api: ModelProcess, method: str, path: str, body: bytes = b"", **by: Any) -> dict[str, str]:
    """The headers of a signed request, the admin's unless something else is said."""
    headers = {"Content-Type": "application/json", **by.pop("headers", {})}
    return signed(method, f"{api.url}{path}", body=body, headers=headers, **(ADMIN | by))


def event_signed(api: ModelProcess, method: str, path: str, body: bytes = b"", **by: Any) -> Any:
    return event_of(api, method, path, body, sign(api, method, path, body, **by))


def test_a_function_learns_who_signed_a_request(api: ModelProcess) -> None:
    event = event_signed(api, "POST", "/v1/admin/fleets?dry_run=true&dry_run=false", b'{"fleet_id": "f"}')

    assert event["routeKey"] == "POST /v1/admin/fleets"
    assert event["body"] == '{"fleet_id": "f"}'
    assert event["requestContext"]["authorizer"] == {
        "iam": {
            "accessKey": "admins",
            "accountId": "123456789012",
            "callerId": "AROAADMIN:local",
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": "arn:aws:sts::123456789012:assumed-role/admin/local",
            "userId": "AROAADMIN:local",
        }
    }


@pytest.mark.parametrize("path", ["/v1/admin/fleets", "/v1/admin/fleets/a%20b%2525:c", "/v1/admin/fleets?b=2&a=1&a=0"])
def test_each_access_key_of_a_principal_is_its_own(api: ModelProcess, path: str) -> None:
    other = event_signed(api, "GET", path, access_key="local", secret_key="local")
    iam = other["requestContext"]["authorizer"]["iam"]

    assert (iam["accessKey"], iam["userId"]) == ("local", "AROAADMIN:local")
    assert event_signed(api, "GET", path, **OPERATOR)["requestContext"]["authorizer"]["iam"]["accessKey"] == "operators"


def test_a_route_that_is_not_signed_asks_for_no_principal(api: ModelProcess) -> None:
    headers = {"Authorization": "AWS4-HMAC-SHA256 nonsense"}

    assert "authorizer" not in event_of(api, "GET", "/v1/many/x", None, headers)["requestContext"]


FLEETS = "/v1/admin/fleets"
BODY = b'{"fleet_id": "f"}'
UNSIGNED = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("asked", "changed", "reason"),
    [
        ({"headers": None}, {}, "authorization is not there once"),
        ({"headers": None}, {"headers": {"Authorization": "Bearer x", "X-Amz-Date": "x"}}, "AWS4-HMAC-SHA256"),
        ({"secret_key": "wrong"}, {}, "another one"),
        ({"secret_key": OPERATOR["secret_key"]}, {}, "another one"),
        ({"access_key": "stranger"}, {}, "unknown"),
        ({"service": "s3"}, {}, "service"),
        ({"region": "eu-west-1"}, {}, "region"),
        ({}, {"body": b'{"fleet_id": "g"}'}, "another one"),
        ({}, {"path": f"{FLEETS}?dry_run=true"}, "another one"),
        ({"path": f"{FLEETS}?dry_run=true"}, {"path": FLEETS}, "another one"),
        ({"path": f"{FLEETS}?a=1&a=2"}, {"path": f"{FLEETS}?a=1&a=3"}, "another one"),
        ({"path": f"{FLEETS}/f"}, {"path": FLEETS}, "another one"),
        ({"method": "GET", "path": f"{FLEETS}/f", "body": b""}, {"path": f"{FLEETS}/g"}, "another one"),
        ({"method": "GET", "body": b""}, {"method": "POST"}, "another one"),
        ({}, {"headers": {"Content-Type": "text/plain"}}, "another one"),
        ({}, {"headers": {"X-Amz-Date": "20200101T000000Z"}}, "too far from now"),
        (OPERATOR, {}, "may not invoke"),
        ({"method": "GET", "path": f"{FLEETS}/hidden", "body": b"", **OPERATOR}, {}, "may not invoke"),
        ({"method": "GET", "path": f"{FLEETS}/%68idden", "body": b"", **OPERATOR}, {}, "may not invoke"),
    ],
)
def test_a_request_that_iam_does_not_admit_is_forbidden_and_reaches_no_function(
    api: ModelProcess, directory: Path, asked: dict[str, Any], changed: dict[str, Any], reason: str
) -> None:
    event_signed(api, "GET", FLEETS)
    log, calls = directory / "access.log", directory / "calls"
    lines, called = len(log.read_text().splitlines()), calls.read_text()
    arguments = {"method": "POST", "path": FLEETS, "body": BODY} | asked
    headers = sign(api, **arguments) if "headers" not in asked else UNSIGNED
    sent: dict[str, Any] = {name: changed.get(name, arguments[name]) for name in ("method", "path", "body")}
    status, body, found = request(api, **sent, headers={**headers, **changed.get("headers", {})})

    assert (status, json.loads(body)) == (403, {"message": "Forbidden"})
    assert found["content-type"] == "application/json"
    assert calls.read_text() == called
    (line,) = log.read_text().splitlines()[lines:]
    assert (json.loads(line)["error"], json.loads(line)["ms"]) == ("Forbidden", "-")
    assert reason in json.loads(line)["authorizer"]


def test_a_request_that_was_signed_too_long_ago_is_forbidden(
    api: ModelProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minutes, expected in ((4, 200), (6, 403), (-4, 200), (-6, 403)):
        then = datetime.now(UTC) - timedelta(minutes=minutes)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda then=then: then)
        assert request(api, "GET", FLEETS, None, sign(api, "GET", FLEETS))[0] == expected


def test_a_signed_route_counts_a_request_before_it_looks_at_its_signature(api: ModelProcess) -> None:
    assert [request(api, "GET", "/v1/admin/slow")[0] for _ in range(3)] == [403, 403, 429]
    assert request(api, "GET", "/v1/admin/slow", None, sign(api, "GET", "/v1/admin/slow"))[0] == 429


def test_a_body_above_ten_megabytes_is_too_large(api: ModelProcess) -> None:
    status, body, _ = request(api, "POST", "/v1/events", b"x" * (10 * 1024 * 1024 + 1))

    assert (status, json.loads(body)) == (413, {"message": "Request Entity Too Large"})


def test_a_throttled_function_is_a_server_error(api: ModelProcess) -> None:
    request(api, "GET", "/v1/one/warm")
    with ThreadPoolExecutor() as pool:
        found = [each[0] for each in pool.map(lambda _: request(api, "GET", "/v1/one/sleep"), range(3))]

    assert sorted(found) == [200, 503, 503]


def test_a_route_admits_its_burst_and_no_more(api: ModelProcess) -> None:
    found = [request(api, "GET", "/v1/slow") for _ in range(3)]

    assert [status for status, _, _ in found] == [200, 200, 429]
    assert json.loads(found[2][1]) == {"message": "Too Many Requests"}


def test_every_request_is_a_line_of_the_access_log(api: ModelProcess, directory: Path) -> None:
    log = directory / "access.log"
    before = len(log.read_text().splitlines())
    request(api, "GET", "/v1/many/teapot", headers={"User-Agent": 'a "quoted" one'})
    request(api, "GET", "/v1/none")
    first, second = (json.loads(line) for line in log.read_text().splitlines()[before:])

    assert first["route"] == "ANY /v1/many/{kind}"
    assert (first["status"], first["bytes"], first["error"]) == ("418", "5", "-")
    assert first["agent"] == 'a "quoted" one'
    assert first["ms"].isdigit()
    assert (second["route"], second["status"], second["error"], second["ms"]) == ("-", "404", "Not Found", "-")


def test_a_format_that_asks_for_what_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    log = AccessLogConfig("$context.authorizer.claims.sub", str(tmp_path / "access.log"))
    settings = HttpApiConfig("abc", "us-east-1", "123456789012", "http://127.0.0.1:1", "$default", [], log)

    with pytest.raises(RuntimeError, match=r"authorizer\.claims\.sub"), running("http_api", settings, tmp_path):
        pass


def test_a_named_stage_is_the_first_part_of_the_path(lambdas: ModelProcess, tmp_path: Path) -> None:
    routes = [RouteConfig("GET /v1/{kind}", ARN.format("many"), 10_000)]
    routes.append(RouteConfig("GET /v1/admin/{kind}", ARN.format("many"), 10_000, signed=True))
    settings = HttpApiConfig("abc", "us-east-1", "123456789012", lambdas.url, "live", routes, principals=PRINCIPALS)
    with running("http_api", settings, tmp_path) as api:
        # The stage stands before the route in what IAM compares, and is part of the path that is signed.
        assert event_signed(api, "GET", "/live/v1/admin/x")["rawPath"] == "/live/v1/admin/x"
        assert request(api, "GET", "/live/v1/admin/x", None, sign(api, "GET", "/live/v1/admin/x", **OPERATOR))[0] == 403
        assert event_of(api, "GET", "/live/v1/x")["rawPath"] == "/live/v1/x"
        assert request(api, "GET", "/v1/x")[0] == 404
