import base64
import gzip
from typing import Any

import pytest

from sluice.core.errors import Refusal
from sluice.core.requests import read_request
from tests import samples


def event(**changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = samples.read("lambda/post-mixed-batch.json")
    headers = payload["headers"] | changes.pop("headers", {})
    return payload | {"headers": headers} | changes


def test_the_gateways_payload_is_read_into_plain_values() -> None:
    request = read_request(event(), 1 << 20, 1 << 20)
    assert request.route == "POST /v1/events"
    assert request.body == (samples.EVENTS / "mixed-batch.json").read_bytes()
    assert request.received_at == samples.NOW
    assert request.correlation_id == "site-7:000123"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "line\nbreak"])
def test_a_correlation_id_that_could_forge_a_log_line_is_replaced_by_the_gateways(given: str) -> None:
    request = read_request(event(headers={"x-correlation-id": given}), 1 << 20, 1 << 20)
    assert request.correlation_id == "Yk2nTh3xIAMEVrA="


def test_a_gzipped_body_is_inflated() -> None:
    body = base64.b64encode(gzip.compress(b'{"a":1}')).decode()
    request = read_request(event(body=body, isBase64Encoded=True, headers={"content-encoding": "GZIP"}), 100, 100)
    assert request.body == b'{"a":1}'


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
        (event(body="%%%", isBase64Encoded=True), 400, "unreadable_body"),
        (event(body="\ud800"), 400, "unreadable_body"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_within_bounds(payload: Any, status: int, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_request(payload, max_body=1000, max_inflated=2000)
    assert (refused.value.status, refused.value.code) == (status, code)
