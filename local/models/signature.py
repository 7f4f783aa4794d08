"""Signature Version 4 in headers, verified by computing the signature again with botocore's own code.

Modelled: the header `authorization` with its credential scope, `x-amz-date` within five minutes of now, the signed
headers and the body's hash. `x-amz-security-token` has to be signed where it is sent; its value is not checked, for the
access keys here belong to no session.

Not modelled: signatures in the query string, SigV4a, payloads that are streamed or not signed.
"""

import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

SERVICE = "execute-api"
SKEW = timedelta(minutes=5)

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/,\s]+)/(?P<date>[0-9]{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)"
    r"/aws4_request *, *SignedHeaders=(?P<headers>[^,\s]+) *, *Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class BadSignature(Exception):
    """A request is not signed, or not so that it can be trusted; the message says what is wrong."""


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it came: its target still encoded, its headers in their order."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class _Signer(SigV4Auth):
    """Signs the headers that it is given; botocore's own clients never sign some that other clients do."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def verify(request: ReceivedRequest, secrets: Mapping[str, str], region: str, now: datetime) -> str:
    """Return the access key that signed a request, or raise BadSignature."""
    claimed = _AUTHORIZATION.fullmatch(_only(request, "authorization"))
    if claimed is None:
        raise BadSignature("the authorization is no AWS4-HMAC-SHA256")
    date = _date(request, now)
    if claimed["date"] != date[:8]:
        raise BadSignature("the scope's date is not the request's")
    if claimed["region"] != region:
        raise BadSignature(f"the scope's region is not {region}")
    if claimed["service"] != SERVICE:
        raise BadSignature(f"the scope's service is not {SERVICE}")
    if claimed["key"] not in secrets:
        raise BadSignature("the access key is unknown")
    if _sent(request, "x-amz-content-sha256") not in ([], [hashlib.sha256(request.body).hexdigest()]):
        raise BadSignature("x-amz-content-sha256 is not the body's hash")
    signer = _Signer(Credentials(claimed["key"], secrets[claimed["key"]]), SERVICE, region)
    try:
        headers = _signed_headers(request, claimed["headers"])
        matches = [
            hmac.compare_digest(_signature(signer, each, date), claimed["signature"])
            for each in _readings(request, headers)
        ]
    except UnicodeEncodeError as error:
        raise BadSignature("what was signed is not UTF-8") from error
    if not any(matches):
        raise BadSignature("the signature is another one")
    return claimed["key"]


def _date(request: ReceivedRequest, now: datetime) -> str:
    date = _only(request, "x-amz-date")
    if not _DATE.fullmatch(date):
        raise BadSignature("x-amz-date is no time")
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadSignature("x-amz-date is no time") from error
    if abs(now - signed_at) > SKEW:
        raise BadSignature("x-amz-date is too far from now")
    return date


def _signed_headers(request: ReceivedRequest, listed: str) -> HTTPHeaders:
    names = listed.split(";")
    if names != sorted({each.lower() for each in names}):
        raise BadSignature("the signed headers are not sorted names in lower case")
    required = {"host", "x-amz-date"}
    if _sent(request, "x-amz-security-token"):
        required.add("x-amz-security-token")
    if missing := sorted(required.difference(names)):
        raise BadSignature(f"not signed: {', '.join(missing)}")
    headers = HTTPHeaders()
    for name in names:
        values = _sent(request, name)
        if not values:
            raise BadSignature("a signed header was not sent")
        for value in values:
            value.encode()  # what is not UTF-8 would no longer be a text once it is among the headers
            headers[name] = value  # adds one more where there is one already
    return headers


def _readings(request: ReceivedRequest, headers: HTTPHeaders) -> Iterator[AWSRequest]:
    """Yield what a client may have signed: the query as it was sent, as botocore does, or encoded anew."""
    path, _, query = request.target.partition("?")
    # A client signs the normalized path. Where that is another one, it did not sign the path that it asks for.
    if not path.startswith("/") or "#" in request.target or normalize_url_path(path) != path:
        raise BadSignature("the path is not normalized")
    yield _reading(request, request.target, headers)
    try:
        parameters = urllib.parse.parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        return
    encoded = urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote, safe="-_.~")
    yield _reading(request, f"{path}?{encoded}", headers)


def _reading(request: ReceivedRequest, target: str, headers: HTTPHeaders) -> AWSRequest:
    reading = AWSRequest(request.method, f"http://gateway{target}", data=request.body)
    reading.headers = headers
    return reading


def _signature(signer: _Signer, request: AWSRequest, date: str) -> str:
    request.context["timestamp"] = date
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


def _only(request: ReceivedRequest, name: str) -> str:
    values = _sent(request, name)
    if len(values) != 1:
        raise BadSignature(f"{name} is not there once")
    return values[0].strip()


def _sent(request: ReceivedRequest, name: str) -> list[str]:
    return [value for each, value in request.headers if each.lower() == name]
