"""Which ids of a batch recur, and which are taken on: so many of each fleet, so that none can fill the memory."""

import numpy as np

from sluice.core.matching.ids import Flags, Hashes, Ids, Numbers, Places, find_places, number_within


class Recurring:
    """The ids of a batch that recur, as they are found."""

    def __init__(self, ids: Ids, fleets: Numbers, most: int) -> None:
        self._ids = ids
        self._fleets = fleets
        self._most = most
        self._recurs: Flags = np.zeros(len(ids.hashes), dtype=np.bool_)
        self._taken = self._recurs.copy()
        self._counts: Places = np.zeros(int(fleets.max()) + 1 if len(fleets) else 1, dtype=np.int64)
        self.turns: dict[int, int] = {}
        """The hashes that are taken on, and how many events of its fleet were found before each."""

    def add(self, hashes: Hashes) -> Hashes:
        """Add some distinct hashes that recur; return those that are taken on."""
        places = find_places(self._ids.hashes, hashes)
        fresh = places[~self._recurs[places]]
        self._recurs[fresh] = True
        fleets = self._fleets[self._ids.rows[fresh]]
        turns = self._counts[fleets] + number_within(fleets)
        self._counts += np.bincount(fleets, minlength=len(self._counts))
        chosen = turns < self._most
        self._taken[fresh[chosen]] = True
        for one, turn in zip(self._ids.hashes[fresh[chosen]].tolist(), turns[chosen].tolist(), strict=True):
            self.turns.setdefault(one, turn)
        taken: Hashes = np.unique(self._ids.hashes[places[self._taken[places]]])
        return taken

    def list_taken(self) -> Ids:
        """Return the ids that are taken on."""
        return self._ids.take(np.flatnonzero(self._taken))

    def count_left_out(self) -> int:
        """Count the events that are not taken on although their ids recur."""
        return int(self._recurs.sum() - self._taken.sum())
