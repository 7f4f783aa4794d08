"""Shortens a history that fails: drops what does not matter, greedily, as long as it still fails."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.simulation.history import History
from tests.simulation.posts import Post


def shorten(history: History, fails: Callable[[History], bool], tries: int) -> History:
    """Return a part of a history that fails too; run at most so many."""
    left = tries

    def try_out(candidate: History) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(candidate)

    while True:
        before = history.size
        for name in ("faults", "changes", "outages", "posts"):
            history = _drop_items(history, name, try_out)
        history = _drop_events(history, try_out)
        if history.size == before or left <= 0:
            return history


def _drop_items(history: History, name: str, fails: Callable[[History], bool]) -> History:
    """Drop some of one kind of items: half of them at once, then ever fewer."""
    kept: Sequence[object] = getattr(history, name) or ()
    size = len(kept)
    while size:
        at = 0
        while at < len(kept):
            rest: Any = (*kept[:at], *kept[at + size :])
            candidate = replace(history, **{name: rest})
            if fails(candidate):
                history, kept = candidate, getattr(candidate, name)
            else:
                at += size
        size //= 2
    return history


def _drop_events(history: History, fails: Callable[[History], bool]) -> History:
    """Drop events of the posts that are left."""
    for number in range(len(history.posts)):
        size = len(history.posts[number].events) // 2
        while size:
            at = 0
            while at < len(history.posts[number].events):
                events = history.posts[number].events
                rest = (*events[:at], *events[at + size :])
                candidate = _with_post(history, number, history.posts[number]._replace(events=rest))
                if rest and fails(candidate):
                    history = candidate
                else:
                    at += size
            size //= 2
    return history


def _with_post(history: History, number: int, post: Post) -> History:
    return replace(history, posts=(*history.posts[:number], post, *history.posts[number + 1 :]))
