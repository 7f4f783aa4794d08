"""The two ends of an HTTP API's integration, payload format 2.0: a request as an event, an answer as a response."""

import base64
import binascii
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

#: Bodies of these types reach a function as text, all others as base64; forms and missing types are among the others.
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})

#: Headers that belong to one connection and pass through in neither direction.
_HOP_BY_HOP = frozenset(
    {"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


class BadAnswer(Exception):
    """A function answered with something that is no HTTP response."""


@dataclass(frozen=True)
class HttpAnswer:
    """What the client gets."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)


def message(status: int, text: str) -> HttpAnswer:
    """One of the gateway's own answers."""
    return HttpAnswer(status, msgspec.json.encode({"message": text}), [("content-type", "application/json")])


def joined_headers(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Headers in lower case, repeated ones joined by commas, and the cookies apart."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for name, received in headers:
        lower = name.lower()
        # Believed: bytes beyond ASCII come as the characters of Latin-1, which is how HTTP once defined them.
        value = received.encode(errors="surrogateescape").decode("latin-1")
        if lower == "cookie":
            cookies.extend(each.strip() for each in value.split(";"))
        elif lower in joined:
            joined[lower] += f",{value}"
        elif lower not in _HOP_BY_HOP or lower == "content-length":
            joined[lower] = value
    return joined, cookies


def body_fields(body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """The body as text or as base64.

    The types are as observed on AWS. That a compressed body comes as base64, and so does a text that is not UTF-8, is
    believed: either way its bytes survive here.
    """
    if not body:
        return {"isBase64Encoded": False}
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    plain = headers.get("content-encoding", "identity").strip().lower() == "identity"
    if plain and (media_type in _TEXT_TYPES or media_type.startswith("text/")):
        try:
            return {"body": body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def query_fields(raw: str) -> dict[str, Any]:
    """The query string as it came, and its decoded parameters, repeated ones joined by commas."""
    parameters: dict[str, str] = {}
    for name, value in urllib.parse.parse_qsl(raw, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return {"rawQueryString": raw, **({"queryStringParameters": parameters} if parameters else {})}


def read_answer(payload: bytes) -> HttpAnswer:
    """A function's answer as a response; one without a status code is a body, with status 200."""
    try:
        answer = msgspec.json.decode(payload)
    except msgspec.DecodeError as error:
        raise BadAnswer(str(error)) from error
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return HttpAnswer(200, payload, [("content-type", "application/json")])
    try:
        status = int(answer["statusCode"])
        headers = [
            (str(name).lower(), _text(value))
            for name, value in (answer.get("headers") or {}).items()
            if str(name).lower() not in _HOP_BY_HOP
        ]
        headers += [("set-cookie", _text(cookie)) for cookie in answer.get("cookies") or []]
        text = answer.get("body") or ""
        body = base64.b64decode(text, validate=True) if answer.get("isBase64Encoded") else text.encode()
    except (TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise BadAnswer(str(error)) from error
    if not 200 <= status <= 599:
        raise BadAnswer(f"status {status}")
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    return HttpAnswer(status, body, headers)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"{value!r} is no header value")
