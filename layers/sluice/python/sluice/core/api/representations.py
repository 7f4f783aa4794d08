"""Conditional and compressed answers: ETags, cache headers and gzip."""

import gzip
import hashlib
from collections.abc import Mapping

from sluice.core.api.answers import Answer

PACK_FROM = 2048
"""Compression hardly helps smaller bodies."""
# The fastest level: even so, a page of rollups shrinks to a tenth.
_LEVEL = 1


def represent(body: bytes, headers: Mapping[str, str], correlation_id: str, seconds: int) -> Answer:
    """Answer with a JSON document that may be cached for some seconds, or only with its tag."""
    packs = len(body) >= PACK_FROM and takes_gzip(headers.get("accept-encoding", ""))
    tag = write_tag(hashlib.sha256(body).hexdigest()[:32], packs)
    told = {
        "x-correlation-id": correlation_id,
        # An answer belongs to one key: no shared cache may keep it.
        "cache-control": f"private, max-age={seconds}",
        "vary": "accept-encoding, x-api-key",
        "etag": tag,
    }
    if holds(tag, headers.get("if-none-match", "")):
        return Answer(304, told, b"")
    told["content-type"] = "application/json"
    if packs:
        told["content-encoding"] = "gzip"
    return Answer(200, told, gzip.compress(body, _LEVEL, mtime=0) if packs else body)


def write_tag(digest: str, packed: bool) -> str:
    """Write a tag. Compressed and plain bodies are different bytes, so their tags differ."""
    return f'"{digest}-gzip"' if packed else f'"{digest}"'


def holds(tag: str, if_none_match: str) -> bool:
    """Return whether the caller has what the tag names."""
    return tag in [known.strip().removeprefix("W/") for known in if_none_match.split(",")]


def takes_gzip(accepted: str) -> bool:
    """Return whether the caller accepts gzip; an encoding with weight zero is not accepted."""
    for one in accepted.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() == "gzip":
            return weight.strip().replace(" ", "").removeprefix("q=").strip("0.") != "" if weight else True
    return False
