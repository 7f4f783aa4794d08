"""The dashboard's files as they are answered: packed once, named by their content, and shown under strict rules."""

import gzip
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.api.representations import holds, takes_gzip, write_tag
from sluice.core.errors import Refusal

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

# Scripts and styles come from here and from nowhere else, and what a device calls itself is never markup: even a page
# with a mistake in it could not run what somebody wrote into a name.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS = {
    # Asked about at every load, so that a page never runs with the scripts of another release.
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "vary": "accept-encoding",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class File(msgspec.Struct, frozen=True):
    """One file of the page, plain and packed."""

    media_type: str
    plain: bytes
    packed: bytes
    digest: str


def make_file(name: str, content: bytes) -> File:
    """Prepare a file once for all who ask for it."""
    _, dot, ending = name.rpartition(".")
    packed = gzip.compress(content, mtime=0)
    return File(MEDIA_TYPES[dot + ending], content, packed, hashlib.sha256(content).hexdigest()[:32])


def name_file(event: Mapping[str, Any]) -> str:
    """Say which file a route stands for."""
    if event["routeKey"] == "GET /":
        return "index.html"
    if event["routeKey"] == "GET /openapi.json":
        return "openapi.json"
    name: str = event["pathParameters"]["name"]
    return f"assets/{name}"


def answer_file(files: Mapping[str, File], name: str, headers: Mapping[str, str]) -> Answer:
    """Answer with a file, or with nothing but its tag where the caller has it already."""
    # Looked up among what there is, never in a directory: a name cannot lead out of it.
    if name not in files:
        raise Refusal(404, "not_found", "There is nothing of this name here.")
    file = files[name]
    packs = takes_gzip(headers.get("accept-encoding", ""))
    tag = write_tag(file.digest, packs)
    told = {**HEADERS, "etag": tag}
    if holds(tag, headers.get("if-none-match", "")):
        return Answer(304, told, b"")
    told["content-type"] = file.media_type
    if packs:
        told["content-encoding"] = "gzip"
    return Answer(200, told, file.packed if packs else file.plain)
