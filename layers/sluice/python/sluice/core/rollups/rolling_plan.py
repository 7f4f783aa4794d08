"""Windows that a roller has claimed: which can be rolled, and which wider windows change with them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from sluice.core.rollups.resolutions import floor_to


class Claim(msgspec.Struct, frozen=True):
    """One window: of every device of a shard, of one device, or of a fleet as a whole."""

    shard: int
    window_start: datetime
    entity_key: int | None = None
    """None: every device of the shard."""
    fleet_id: str | None = None
    """Set where the entity is a fleet as a whole."""
    devices: int = 0
    """How many devices such a fleet has; large fleets are not counted to the end."""
    again: bool = False
    """Whether it was rolled before."""


class Marker(msgspec.Struct, frozen=True):
    """A wider window that must be rolled because a narrower one in it was."""

    shard: int
    window_start: datetime
    entity_key: int | None
    waits_since: datetime | None
    """None: from now on."""


def select_complete(claims: Iterable[Claim], floor: datetime | None) -> tuple[list[Claim], list[Claim]]:
    """Split claims into those with complete input, and those whose input is partly deleted."""
    complete: list[Claim] = []
    below: list[Claim] = []
    for claim in claims:
        (below if floor is not None and claim.window_start < floor else complete).append(claim)
    return complete, below


def drop_covered(claims: Sequence[Claim]) -> list[Claim]:
    """Leave out devices whose whole shard is claimed for the same window."""
    whole = {(claim.shard, claim.window_start) for claim in claims if claim.entity_key is None}
    return [
        claim
        for claim in claims
        if claim.entity_key is None or claim.fleet_id is not None or (claim.shard, claim.window_start) not in whole
    ]


def mark_wider(claims: Iterable[Claim], width: timedelta, closed_until: Mapping[int, datetime]) -> list[Marker]:
    """List the windows of a wider resolution that contain claims, each once.

    A window that was never rolled waits since its own start, so that nothing delays it once it closes. A window that
    was rolled before waits from now on, for more changes.
    """
    rolled_before: dict[tuple[int, datetime, int | None], bool] = {}
    for claim in claims:
        start = floor_to(claim.window_start, width)
        closed = start + width <= closed_until[claim.shard]
        wider = claim.shard, start, claim.entity_key
        rolled_before[wider] = claim.again and closed and rolled_before.get(wider, True)
    return [
        Marker(shard, start, entity_key, None if before else start)
        for (shard, start, entity_key), before in rolled_before.items()
    ]
