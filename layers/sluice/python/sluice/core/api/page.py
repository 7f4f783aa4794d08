"""The dashboard's files as answers: compressed once, tagged by their content, sent with a strict content policy."""

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

# Scripts and styles come only from this origin, and a device's name is never markup: even a page with a bug cannot run
# a script that was written into a name.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS = {
    # Revalidated at every load, so that a page never runs with the scripts of another release.
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


class PageFile(msgspec.Struct, frozen=True):
    """One file of the page, plain and compressed."""

    media_type: str
    plain: bytes
    packed: bytes
    digest: str


def make_file(name: str, content: bytes) -> PageFile:
    """Prepare a file once for all requests."""
    _, dot, ending = name.rpartition(".")
    packed = gzip.compress(content, mtime=0)
    return PageFile(MEDIA_TYPES[dot + ending], content, packed, hashlib.sha256(content).hexdigest()[:32])


def name_file(event: Mapping[str, Any]) -> str:
    """Return the file that a route stands for."""
    if event["routeKey"] == "GET /":
        return "index.html"
    if event["routeKey"] == "GET /openapi.json":
        return "openapi.json"
    name: str = event["pathParameters"]["name"]
    return f"assets/{name}"


def answer_file(files: Mapping[str, PageFile], name: str, headers: Mapping[str, str]) -> Answer:
    """Answer with a file, or only with its tag if the caller has it already."""
    # Looked up in a mapping, never in a directory: no name can lead out of it.
    if name not in files:
        raise Refusal(404, "not_found", "No file has this name.")
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
