"""Groups of devices, from an external directory that may be slow, broken or down.

A function outside our network asks it. While it does not answer, the last known groups are shown.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sluice.core.breaker import Breaker
from sluice.core.errors import Refusal, Retryable
from sluice.core.query.groups import Group, GroupAnswer, GroupNames, GroupQuestion
from sluice.edge.cache import Cache
from sluice.edge.read_through import Ages, CachedValue, FoundValue, ReadThrough

MOST_KEPT = 1000
LAST_KNOWN = timedelta(hours=24)


class Groups:
    """Finds groups."""

    def __init__(
        self, lookup: Callable[[GroupQuestion], GroupAnswer], cache: Cache, breaker: Breaker, believed: timedelta
    ) -> None:
        self._lookup = lookup
        self._breaker = breaker
        self._known = ReadThrough(
            "group",
            CachedValue[GroupAnswer],
            cache,
            Ages(believed, believed, most=believed, last_known=LAST_KNOWN),
            MOST_KEPT,
            is_absence=lambda told: told.problem is not None,
        )

    def names(self, fleet_id: str, correlation_id: str, now: datetime) -> tuple[GroupNames, datetime]:
        """Return a fleet's groups, and when the directory reported them."""
        found = self._find(GroupQuestion(fleet_id, None, correlation_id), now)
        return found.value.groups or GroupNames(()), found.read_at

    def group(self, fleet_id: str, group_id: str, correlation_id: str, now: datetime) -> tuple[Group, datetime]:
        """Return one group, and when the directory reported it."""
        found = self._find(GroupQuestion(fleet_id, group_id, correlation_id), now)
        if found.value.group is None:
            raise Refusal(404, "group_unknown", "There is no group of this name.")
        return found.value.group, found.read_at

    def _find(self, wanted: GroupQuestion, now: datetime) -> FoundValue[GroupAnswer]:
        name = wanted.fleet_id if wanted.group_id is None else f"{wanted.fleet_id}:{wanted.group_id}"
        try:
            found = self._known.find(name, partial(self._ask, wanted), now)
        except Retryable as error:
            raise Refusal(
                503, "directory_unavailable", "The directory of groups does not answer; try again."
            ) from error
        if found.value.problem == "no_directory":
            raise Refusal(404, "no_directory", "This deployment has no directory, so there are no groups.")
        return found

    def _ask(self, wanted: GroupQuestion) -> GroupAnswer:
        with self._breaker.asking():
            told = self._lookup(wanted)
            if told.problem == "unavailable":
                raise Retryable(told.detail)
            return told
