"""Groups of devices, from an external directory that may be slow, broken or away.

A function outside our network asks it. What it told is believed for a while, by this process and by the others through
Valkey; while it does not answer, what it told last still serves.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from sluice.core.breaker import Breaker
from sluice.core.errors import Refusal, Retryable
from sluice.core.query.groups import Group, GroupNames, Told, Wanted
from sluice.edge.cache import Cache, CacheAwayError
from sluice.edge.invoked import InvokedFunction

MOST_KEPT = 1000
LAST_KNOWN = timedelta(hours=24)

Lookup = Callable[[Wanted], Told]


class Copy(msgspec.Struct, frozen=True):
    """What the directory told, and when."""

    told: Told
    read_at: datetime


class Groups:
    """Finds groups."""

    def __init__(self, lookup: Lookup, cache: Cache, breaker: Breaker, believed: timedelta) -> None:
        self._lookup = lookup
        self._cache = cache
        self._breaker = breaker
        self._believed = believed
        self._copies: OrderedDict[str, Copy] = OrderedDict()

    def names(self, fleet_id: str, correlation_id: str, now: datetime) -> tuple[GroupNames, datetime]:
        """Return a fleet's groups, and when the directory told of them."""
        copy = self._find(Wanted(fleet_id, None, correlation_id), now)
        return copy.told.groups or GroupNames(()), copy.read_at

    def group(self, fleet_id: str, group_id: str, correlation_id: str, now: datetime) -> tuple[Group, datetime]:
        """Return one group, and when the directory told of it."""
        copy = self._find(Wanted(fleet_id, group_id, correlation_id), now)
        if copy.told.group is None:
            raise Refusal(404, "group_unknown", "There is no group of this name.")
        return copy.told.group, copy.read_at

    def _find(self, wanted: Wanted, now: datetime) -> Copy:
        name = f"group:{wanted.fleet_id}" + ("" if wanted.group_id is None else f":{wanted.group_id}")
        own = self._copies.get(name)
        if own is not None and now - own.read_at < self._believed:
            return _open(own)
        shared = self._read_shared(name)
        if shared is not None and now - shared.read_at < self._believed:
            return _open(self._keep(name, shared))
        try:
            copy = Copy(self._ask(wanted), now)
        except Retryable as error:
            known = [one for one in (own, shared) if one is not None and now - one.read_at < LAST_KNOWN]
            if known:
                return _open(max(known, key=lambda one: one.read_at))
            raise Refusal(
                503, "directory_unavailable", "The directory that knows the groups does not answer; try again."
            ) from error
        # That there is no such group is shared only where others may believe that there is: there is no end of names.
        if copy.told.problem is None or shared is not None:
            with contextlib.suppress(CacheAwayError):
                self._cache.put(name, msgspec.json.encode(copy), int(LAST_KNOWN.total_seconds()))
        return _open(self._keep(name, copy))

    def _ask(self, wanted: Wanted) -> Told:
        with self._breaker.asking():
            told = self._lookup(wanted)
            if told.problem == "unavailable":
                raise Retryable(told.detail)
            return told

    def _keep(self, name: str, copy: Copy) -> Copy:
        self._copies[name] = copy
        self._copies.move_to_end(name)
        if len(self._copies) > MOST_KEPT:
            self._copies.popitem(last=False)
        return copy

    def _read_shared(self, name: str) -> Copy | None:
        try:
            found = self._cache.get(name)
            return None if found is None else msgspec.json.decode(found, type=Copy)
        except (CacheAwayError, msgspec.DecodeError):
            return None


def _open(copy: Copy) -> Copy:
    if copy.told.problem == "no_directory":
        raise Refusal(404, "no_directory", "This deployment has no directory, so there are no groups.")
    return copy


class LookupFunction:
    """Asks the function that asks the directory."""

    def __init__(self, function: InvokedFunction) -> None:
        self._function = function

    def __call__(self, wanted: Wanted) -> Told:
        """Ask for a fleet's groups or for one of them."""
        try:
            return msgspec.json.decode(self._function.invoke(msgspec.json.encode(wanted)), type=Told)
        except msgspec.DecodeError as error:
            raise Retryable(f"lookup's answer cannot be read: {error}") from error
