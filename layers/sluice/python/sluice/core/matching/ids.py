"""Finding ids that recur with other bytes among millions of events: sorted arrays of hashes, compared as a whole.

A hash stands for fleet, device and event id. Two ids with one hash are only a suspicion: whoever finds them reads the
events themselves. A body's hash has 32 bits: of 4 billion conflicts, one is not noticed.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.uint32]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Ids(msgspec.Struct, frozen=True, eq=False):
    """The ids of some events, in the order of their hashes."""

    hashes: Hashes
    bodies: Numbers
    rows: Numbers
    """Where each event is, among the rows of some files in a row."""

    def take(self, places: Any) -> "Ids":
        """Return some of them."""
        return Ids(self.hashes[places], self.bodies[places], self.rows[places])


def sort_ids(hashes: Hashes, bodies: Numbers, rows: Numbers) -> Ids:
    """Sort ids; those with the same hash keep the order of their rows."""
    order = np.argsort(hashes, kind="stable")
    # One by one: two of all columns would not fit into memory.
    hashes = hashes[order]
    bodies = bodies[order]
    rows = rows[order]
    return Ids(hashes, bodies, rows)


def find_repeated(ids: Ids) -> Hashes:
    """Return the hashes that occur with more than one body."""
    again = (ids.hashes[1:] == ids.hashes[:-1]) & (ids.bodies[1:] != ids.bodies[:-1])
    return np.unique(ids.hashes[1:][again])


def find_shared(new: Hashes, old: Hashes) -> Places:
    """Return the places of the old hashes that are also new. Both are sorted."""
    if not len(old) or not len(new):
        return np.zeros(0, dtype=np.int64)
    # Only the new hashes in the range of the old ones: a slice that fits into the processor's cache.
    start, end = np.searchsorted(new, old[0]), np.searchsorted(new, old[-1], side="right")
    near = new[start:end]
    if not len(near):
        return np.zeros(0, dtype=np.int64)
    places = np.minimum(np.searchsorted(near, old), len(near) - 1)
    return np.flatnonzero(near[places] == old)


def find_differing(new: Ids, hashes: Hashes, bodies: Numbers) -> Hashes:
    """Return the hashes of old events that occur with more than one body among old and new events together."""
    mine = new.take(find_places(new.hashes, np.unique(hashes)))
    together, variants = np.concatenate([mine.hashes, hashes]), np.concatenate([mine.bodies, bodies])
    order = np.lexsort((variants, together))
    return find_repeated(Ids(together[order], variants[order], variants[order]))


def find_places(sorted_hashes: Hashes, wanted: Hashes) -> Places:
    """Return every place at which one of some distinct hashes is."""
    starts = np.searchsorted(sorted_hashes, wanted)
    counts = np.searchsorted(sorted_hashes, wanted, side="right") - starts
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    places: Places = np.repeat(starts, counts) + within
    return places


def number_within(groups: NDArray[Any]) -> Places:
    """Number the members of each group from 0, in their order."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else order
    counts = np.diff(np.concatenate([starts, [len(ordered)]]))
    numbers = np.empty(len(groups), dtype=np.int64)
    numbers[order] = np.arange(len(ordered)) - np.repeat(starts, counts)
    return numbers
