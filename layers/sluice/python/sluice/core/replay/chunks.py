"""The chunks of a replay: parts of raw files, as much as one invocation reads and sends."""

import math
from collections.abc import Mapping

import msgspec


class FilePart(msgspec.Struct, frozen=True):
    """One of the equal parts of a raw file: of the rows to send, the one of this number and every so many after it."""

    file: str
    part: int = 0
    parts: int = 1


def cut_chunks(sizes: Mapping[str, int], most_bytes: int) -> list[list[FilePart]]:
    """Cut files into chunks, in the order of their names."""
    chunks: list[list[FilePart]] = []
    left = 0
    for name in sorted(sizes):
        parts = max(1, math.ceil(sizes[name] / most_bytes))
        for part in range(parts):
            if not chunks or sizes[name] / parts > left:
                chunks.append([])
                left = most_bytes
            chunks[-1].append(FilePart(name, part, parts))
            left -= sizes[name] // parts
    return chunks
