"""A request from API Gateway (payload format 2.0), read into plain values."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from sluice.core.correlation import is_correlation_id
from sluice.core.errors import Refusal, Unparsable
from sluice.core.limits import Limits

JSON = "application/json"

_GZIP = 16 + zlib.MAX_WBITS  # zlib's way of asking for a gzip header


class Request(msgspec.Struct, frozen=True):
    """What is known of a request before its body is read."""

    route: str
    key: str | None
    received_at: datetime
    correlation_id: str


def read_request(event: Mapping[str, Any]) -> Request:
    """Read everything except the body: an unknown caller must not cause that work."""
    context = event["requestContext"]
    return Request(
        route=event["routeKey"],
        key=event.get("headers", {}).get("x-api-key"),
        received_at=datetime.fromtimestamp(context["timeEpoch"] / 1000, UTC),
        correlation_id=read_correlation_id(event),
    )


def read_correlation_id(event: Mapping[str, Any]) -> str:
    """Return the request's correlation id: the caller's own, or else the gateway's."""
    given: str = event.get("headers", {}).get("x-correlation-id", "")
    own: str = event["requestContext"]["requestId"]
    return given if is_correlation_id(given) else own


def read_body(event: Mapping[str, Any], limits: Limits) -> bytes:
    """Read the body; inflating stops at the allowed size."""
    headers = event.get("headers", {})
    _check_media_type(headers.get("content-type", JSON))
    text: str = event.get("body", "")
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Refusal(400, "unreadable_body", f"The body cannot be read: {error}.") from error
    if len(body) > limits.max_body:
        raise Refusal(
            413, "body_too_large", f"The body has {len(body)} bytes; {limits.max_body} is the most that is taken."
        )
    match headers.get("content-encoding", "identity").strip().lower():
        case "identity" | "":
            return body
        case "gzip":
            return _inflate(body, limits.max_inflated)
        case other:
            raise Refusal(415, "unsupported_encoding", f"Content-Encoding {other[:32]!r} is not read; gzip is.")


def _check_media_type(given: str) -> None:
    media_type, _, parameters = given.lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if media_type.strip() != JSON or charset not in ("", "utf-8"):
        raise Refusal(415, "unsupported_media_type", f"Content-Type {given[:64]!r} is not read; {JSON} is.")


def _inflate(body: bytes, max_inflated: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    try:
        inflated = inflater.decompress(body, max_inflated)
    except zlib.error as error:
        raise Unparsable("invalid_gzip", f"The body is not gzip: {error}.", body) from error
    if inflater.unconsumed_tail:
        raise Refusal(413, "body_too_large", f"The body inflates to more than {max_inflated} bytes.")
    if not inflater.eof or inflater.unused_data:
        raise Unparsable("invalid_gzip", "The body is not one whole gzip stream.", body)
    return inflated
