"""Signatures of requests, as botocore and other clients make them, and everything that breaks one."""

import hashlib
import hmac
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.models.signature import BadSignature, ReceivedRequest, verify
from tests.local.signing import signed

HOST = "http://127.0.0.1:8080"
SECRETS = {"key": "secret", "other": "another secret"}


def received(
    method: str = "POST", target: str = "/v1/admin/fleets?dry_run=true", body: bytes = b'{"fleet_id": "f"}', **sign: Any
) -> ReceivedRequest:
    """A request signed by botocore, as its HTTP client sends it."""
    sign.setdefault("headers", {"Content-Type": "application/json", "Idempotency-Key": "a  b"})
    headers = signed(method, HOST + target, body=body, **sign)
    return ReceivedRequest(method, target, [("Host", "127.0.0.1:8080"), *headers.items()], body)


def check(request: ReceivedRequest, now: datetime | None = None) -> str:
    return verify(request, SECRETS, "us-east-1", now or signed_at(request))


def signed_at(request: ReceivedRequest) -> datetime:
    return datetime.strptime(dict(request.headers)["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def with_header(request: ReceivedRequest, name: str, value: str) -> ReceivedRequest:
    """The request with one header's value replaced."""
    return replace(request, headers=[(each, value if each == name else old) for each, old in request.headers])


def edited(request: ReceivedRequest, pattern: str, replacement: str) -> ReceivedRequest:
    """The request with something else in its authorization."""
    old = dict(request.headers)["Authorization"]
    new = re.sub(pattern, replacement, old)
    assert new != old
    return with_header(request, "Authorization", new)


def signed_by_hand(path: str, query: str, canonical: str, more: dict[str, str] | None = None) -> ReceivedRequest:
    """A GET signed step by step as the documentation has it, for clients that are not botocore's."""
    date = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    headers = {"host": "127.0.0.1:8080", **(more or {}), "X-Amz-Date": date}
    names = ";".join(headers).lower()
    lines = "".join(f"{name.lower()}:{value}\n" for name, value in headers.items())
    asked = f"GET\n{path}\n{canonical}\n{lines}\n{names}\n{hashlib.sha256(b'').hexdigest()}"
    scope = f"{date[:8]}/us-east-1/execute-api/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    key = b"AWS4secret"
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential=key/{scope},SignedHeaders={names},Signature={signature}"
    target = f"{path}?{query}" if query else path
    return ReceivedRequest("GET", target, list(headers.items()), b"")


def test_what_botocore_signed_is_accepted() -> None:
    assert check(received()) == "key"
    assert check(received(access_key="other", secret_key=SECRETS["other"])) == "other"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/admin/fleets",
        "/v1/admin/fleets/",
        "/v1/admin/fleets/a%20b",
        "/v1/admin/fleets/a%2520b",
        "/v1/admin/fleets/a%2Fb",
        "/v1/admin/fleets/%C3%A4",
        "/v1/admin/fleets/a:b,c;d=e+f~g",
        "/v1/admin/audit?limit=2&cursor=x",
        "/v1/admin/audit?cursor=b&cursor=a&cursor=a",
        "/v1/admin/audit?cursor=a%2Fb%20c%3D",
        "/v1/admin/audit?cursor=a:b/c+d",
        "/v1/admin/audit?empty=&bare",
    ],
)
def test_paths_and_queries_are_accepted_as_botocore_signs_them(target: str) -> None:
    assert check(received("GET", target, b"")) == "key"


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("cursor=a:b/c", "cursor=a%3Ab%2Fc"),
        ("b=2&a=c+d", "a=c%20d&b=2"),
        ("a=2&a=1&a=1", "a=1&a=1&a=2"),
        ("a=%7e%2d&bare", "a=~-&bare="),
    ],
)
def test_a_query_is_accepted_as_clients_sign_it_that_encode_it_anew(query: str, canonical: str) -> None:
    request = signed_by_hand("/v1/admin/audit", query, canonical)

    assert check(request) == "key"
    with pytest.raises(BadSignature, match="another one"):
        check(replace(request, target=f"{request.target}&c=1"))


def test_a_repeated_header_is_signed_with_all_its_values() -> None:
    request = received(headers={"X-Kind": "a,b"})
    apart = [header for header in request.headers if header[0] != "X-Kind"]

    assert check(replace(request, headers=[*apart, ("X-Kind", " a "), ("x-kind", "b")])) == "key"
    with pytest.raises(BadSignature, match="another one"):
        check(replace(request, headers=[*apart, ("x-kind", "b"), ("X-Kind", "a")]))


def test_headers_that_are_not_signed_may_change_on_the_way() -> None:
    request = received()

    assert check(replace(request, headers=[*request.headers, ("User-Agent", "device/1")])) == "key"


def test_a_header_that_botocore_never_signs_counts_where_another_client_signed_it() -> None:
    request = signed_by_hand("/v1/admin/audit", "", "", {"user-agent": "device/1"})

    assert check(request) == "key"
    with pytest.raises(BadSignature, match="another one"):
        check(with_header(request, "user-agent", "device/2"))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("method", "PUT"),
        ("target", "/v1/admin/fleet?dry_run=true"),
        ("target", "/v1/admin/Fleets?dry_run=true"),
        ("target", "/v1/admin/fleets/?dry_run=true"),
        ("target", "/v1/admin/%66leets?dry_run=true"),
        ("target", "/v1/admin/fleets"),
        ("target", "/v1/admin/fleets?dry_run=false"),
        ("target", "/v1/admin/fleets?dry_run=true&dry_run=true"),
        ("target", "/v1/admin/fleets?dry_run=true&limit=1"),
        ("target", "/v1/admin/fleets?DRY_RUN=true"),
        ("body", b'{"fleet_id": "g"}'),
        ("body", b""),
    ],
)
def test_a_request_that_was_changed_is_refused(change: str, value: object) -> None:
    changed: dict[str, Any] = {change: value}

    with pytest.raises(BadSignature, match="another one"):
        check(replace(received(), **changed))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "other.execute-api.us-east-1.amazonaws.com"),
        ("Content-Type", "text/plain"),
        ("Idempotency-Key", "c"),
    ],
)
def test_a_signed_header_that_was_changed_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadSignature, match="another one"):
        check(with_header(received(), name, value))


def test_a_date_that_was_changed_is_refused() -> None:
    request = received()
    later = signed_at(request).replace(microsecond=0)
    later += timedelta(seconds=-1 if later.second else 1)

    with pytest.raises(BadSignature, match="another one"):
        check(with_header(request, "X-Amz-Date", f"{later:%Y%m%dT%H%M%SZ}"), later)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/admin/x/../fleets?dry_run=true",
        "/v1/admin/./fleets?dry_run=true",
        "/v1//admin/fleets?dry_run=true",
        "//v1/admin/fleets?dry_run=true",
        "/v1/admin/fleets?dry_run=true#x",
        "http://127.0.0.1:8080/v1/admin/fleets?dry_run=true",
        "*",
    ],
)
def test_a_path_that_clients_sign_as_another_one_is_refused(target: str) -> None:
    with pytest.raises(BadSignature, match="not normalized"):
        check(replace(received(), target=target))


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    request = received()

    assert check(request, signed_at(request) + timedelta(seconds=seconds)) == "key"


@pytest.mark.parametrize("seconds", [-301, 301, 86_400 * 365])
def test_an_older_or_newer_request_is_refused(seconds: int) -> None:
    request = received()

    with pytest.raises(BadSignature, match="too far from now"):
        check(request, signed_at(request) + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        ({"secret_key": "wrong"}, "another one"),
        ({"secret_key": SECRETS["other"]}, "another one"),
        ({"access_key": "stranger"}, "unknown"),
        ({"service": "s3"}, "service"),
        ({"service": "lambda"}, "service"),
        ({"region": "eu-west-1"}, "region"),
    ],
)
def test_a_request_signed_for_something_else_is_refused(sign: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadSignature, match=reason):
        check(received(**sign))


@pytest.mark.parametrize(
    ("pattern", "replacement", "reason"),
    [
        (r"/\d{8}/", "/20200101/", "scope's date"),
        (r"/us-east-1/", "/eu-west-1/", "region"),
        (r"/execute-api/", "/s3/", "service"),
        (r"aws4_request", "aws5_request", "no AWS4-HMAC-SHA256"),
        (r"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512", "no AWS4-HMAC-SHA256"),
        (r"Signature=.*", "Signature=", "no AWS4-HMAC-SHA256"),
        (r"Signature=.*", f"Signature={'0' * 64}", "another one"),
        (r", Signature=.*", "", "no AWS4-HMAC-SHA256"),
        (r"Credential=key/", "Credential=other/", "another one"),
        (r".*", "Bearer x", "no AWS4-HMAC-SHA256"),
        (r"host;", "", "not signed: host"),
        (r";x-amz-date", "", "not signed: x-amz-date"),
        (r"content-type;host", "host;content-type", "not sorted"),
        (r";host", ";HOST", "not sorted"),
        (r"host;", "host;host;", "not sorted"),
        (r";x-amz-date", ";x-amz-date;x-other", "not sent"),
        (r"content-type;", "", "another one"),
    ],
)
def test_an_authorization_that_says_something_else_is_refused(pattern: str, replacement: str, reason: str) -> None:
    with pytest.raises(BadSignature, match=reason):
        check(edited(received(), pattern, replacement))


@pytest.mark.parametrize("name", ["Authorization", "X-Amz-Date"])
def test_what_a_signature_needs_is_there_once(name: str) -> None:
    request = received()
    value = dict(request.headers)[name]

    for headers in ([each for each in request.headers if each[0] != name], [*request.headers, (name, value)]):
        with pytest.raises(BadSignature, match=f"{name.lower()} is not there once"):
            check(replace(request, headers=headers), signed_at(request))


@pytest.mark.parametrize("date", ["", "now", "20269901T000000Z", "2026-11-29T00:00:00Z", "²0261129T000000Z"])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    request = received()

    with pytest.raises(BadSignature, match="no time"):
        check(with_header(request, "X-Amz-Date", date), signed_at(request))


def test_a_security_token_is_signed_where_it_is_sent() -> None:
    request = received(token="a session")

    assert check(request) == "key"
    with pytest.raises(BadSignature, match="another one"):
        check(with_header(request, "X-Amz-Security-Token", "another session"))
    with pytest.raises(BadSignature, match="not signed: x-amz-security-token"):
        check(replace(request, headers=[*received().headers, ("X-Amz-Security-Token", "a session")]))


@pytest.mark.parametrize("listed", [True, False])
def test_a_body_is_hashed_whatever_a_header_says_of_it(listed: bool) -> None:
    body = b'{"fleet_id": "f"}'
    digest = hashlib.sha256(body).hexdigest()
    request = received(headers={"X-Amz-Content-SHA256": digest} if listed else {}, body=body)
    if not listed:
        request = replace(request, headers=[*request.headers, ("X-Amz-Content-SHA256", digest)])

    assert check(request) == "key"
    with pytest.raises(BadSignature, match="x-amz-content-sha256"):
        check(replace(request, body=b'{"fleet_id": "g"}'))


def test_a_payload_that_is_not_signed_is_refused() -> None:
    with pytest.raises(BadSignature, match="x-amz-content-sha256"):
        check(received(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}))


@pytest.mark.parametrize("change", ["header", "path"])
def test_bytes_that_are_not_utf_8_are_refused(change: str) -> None:
    request = received()
    broken = b"\xff".decode(errors="surrogateescape")
    if change == "header":
        request = with_header(request, "Idempotency-Key", broken)
    else:
        request = replace(request, target=f"/v1/{broken}")

    with pytest.raises(BadSignature, match="not UTF-8"):
        check(request)
