"""How long the oldest record has waited that a consumer has not read, by where the brokers find moments in a topic."""

from collections.abc import Callable, Mapping


def holds_older(unread: Mapping[int, int], since: Mapping[int, int]) -> bool:
    """Say whether something unread is older than a moment, given the first offset since then of each partition.

    A partition that has nothing from since then is not in `since`: all that is unread in it is older.
    """
    return any(partition not in since or place < since[partition] for partition, place in unread.items())


def find_age(is_older: Callable[[float], bool], longest: float, exact_to: float) -> float:
    """Find how old the oldest is, in seconds, by asking whether it is older than this and that.

    It is at least as old as what is returned, and by less than `exact_to` older, up to the longest that is asked for.
    """
    low, high = 0.0, longest
    if not is_older(exact_to):
        return low
    while high - low > exact_to:
        middle = (low + high) / 2
        low, high = (middle, high) if is_older(middle) else (low, middle)
    return low
