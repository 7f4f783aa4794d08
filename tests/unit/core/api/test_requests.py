import base64
import gzip
from typing import Any

import pytest

from sluice.core.api.requests import read_body, read_request
from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from tests.support import samples


def event(**changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = samples.read("lambda/post-mixed-batch.json")
    headers = payload["headers"] | changes.pop("headers", {})
    return payload | {"headers": headers} | changes


def test_the_gateways_payload_is_read_into_plain_values() -> None:
    request = read_request(event())
    assert request.route == "POST /v1/events"
    assert read_body(event(), Limits()) == (samples.EVENTS / "mixed-batch.json").read_bytes()
    assert request.received_at == samples.NOW
    assert request.correlation_id == "site-7:000123"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "line\nbreak"])
def test_a_correlation_id_that_could_forge_a_log_line_is_replaced_by_the_gateways(given: str) -> None:
    request = read_request(event(headers={"x-correlation-id": given}))
    assert request.correlation_id == "Yk2nTh3xIAMEVrA="


def test_a_gzipped_body_is_inflated() -> None:
    body = base64.b64encode(gzip.compress(b'{"a":1}')).decode()
    sent = event(body=body, isBase64Encoded=True, headers={"content-encoding": "GZIP"})
    assert read_body(sent, Limits()) == b'{"a":1}'


@pytest.mark.parametrize(
    "given", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_known_by_its_media_type(given: str) -> None:
    assert read_body(event(body="{}", headers={"content-type": given}), Limits()) == b"{}"


def test_a_body_without_a_media_type_is_taken_for_json() -> None:
    sent = event(body="{}")
    del sent["headers"]["content-type"]
    assert read_body(sent, Limits()) == b"{}"


def _gzipped(data: bytes) -> dict[str, Any]:
    return event(body=base64.b64encode(data).decode(), isBase64Encoded=True, headers={"content-encoding": "gzip"})


@pytest.mark.parametrize(
    ("payload", "status", "code"),
    [
        (event(body="x" * 1001), 413, "body_too_large"),
        (_gzipped(gzip.compress(b"0" * 10_000_000)[:900]), 413, "body_too_large"),
        (_gzipped(gzip.compress(b"1" * 2001)), 413, "body_too_large"),
        (_gzipped(b"not gzip"), 400, "invalid_gzip"),
        (_gzipped(gzip.compress(b"cut short")[:-4]), 400, "invalid_gzip"),
        (_gzipped(gzip.compress(b"one") + gzip.compress(b"two")), 400, "invalid_gzip"),
        (event(body="{}", headers={"content-encoding": "br"}), 415, "unsupported_encoding"),
        (event(body="{}", headers={"content-type": "text/csv"}), 415, "unsupported_media_type"),
        (
            event(body="{}", headers={"content-type": "application/json; charset=latin-1"}),
            415,
            "unsupported_media_type",
        ),
        (event(body="%%%", isBase64Encoded=True), 400, "unreadable_body"),
        (event(body="\ud800"), 400, "unreadable_body"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_within_bounds(payload: Any, status: int, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_body(payload, Limits(max_body=1000, max_inflated=2000))
    assert (refused.value.status, refused.value.code) == (status, code)
