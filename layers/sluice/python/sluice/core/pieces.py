"""Cutting a stream of items into pieces that fit into a record, a call or an invocation."""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import TypeVar

Item = TypeVar("Item")


def cut(
    items: Iterable[Item], size_of: Callable[[Item], int], max_size: int, max_items: float = inf
) -> Iterator[list[Item]]:
    """Fill pieces in the order of the items; an item that is too large is a piece by itself."""
    piece: list[Item] = []
    size = 0
    for item in items:
        more = size_of(item)
        if piece and (size + more > max_size or len(piece) == max_items):
            yield piece
            piece, size = [], 0
        piece.append(item)
        size += more
    if piece:
        yield piece
