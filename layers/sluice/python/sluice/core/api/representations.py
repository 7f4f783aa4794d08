"""How an answer is sent to a caller who may have it already, or who takes it packed."""

import gzip
import hashlib
from collections.abc import Mapping

from sluice.core.api.answers import Answer

PACK_FROM = 2048
"""Smaller bodies are hardly smaller packed."""
# The fastest: a page of rollups shrinks to a tenth even so.
_LEVEL = 1


def represent(body: bytes, headers: Mapping[str, str], correlation_id: str, seconds: int) -> Answer:
    """Answer with a JSON document that may be kept for some seconds, or with nothing but its tag."""
    packs = len(body) >= PACK_FROM and takes_gzip(headers.get("accept-encoding", ""))
    tag = write_tag(hashlib.sha256(body).hexdigest()[:32], packs)
    told = {
        "x-correlation-id": correlation_id,
        # What one key may read is nobody else's business: no cache on the way may keep it.
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
    """Write a tag: packed and plain are different bytes, so they have different ones."""
    return f'"{digest}-gzip"' if packed else f'"{digest}"'


def holds(tag: str, if_none_match: str) -> bool:
    """Say whether the caller has what the tag names."""
    return tag in [known.strip().removeprefix("W/") for known in if_none_match.split(",")]


def takes_gzip(accepted: str) -> bool:
    """Say whether gzip is among the encodings a caller takes; one with the weight nought is not."""
    for one in accepted.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() == "gzip":
            return weight.strip().replace(" ", "").removeprefix("q=").strip("0.") != "" if weight else True
    return False
