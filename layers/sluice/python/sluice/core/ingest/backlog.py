"""The age of a consumer's oldest unread record, found by looking up times in the topic."""

from collections.abc import Callable, Mapping


def holds_older(unread: Mapping[int, int], since: Mapping[int, int]) -> bool:
    """Return whether any unread record is older than a moment, given each partition's first offset since then.

    A partition without records since then is not in `since`: all its unread records are older.
    """
    return any(partition not in since or place < since[partition] for partition, place in unread.items())


def find_age(is_older: Callable[[float], bool], longest: float, exact_to: float) -> float:
    """Find the age of the oldest record, in seconds, by bisection.

    The real age is at least the result, and exceeds it by less than `exact_to`, up to the longest age asked for.
    """
    low, high = 0.0, longest
    if not is_older(exact_to):
        return low
    while high - low > exact_to:
        middle = (low + high) / 2
        low, high = (middle, high) if is_older(middle) else (low, middle)
    return low
