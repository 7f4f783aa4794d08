"""What happens in a history besides faults: what devices post, when parts are away, and what is moved or lost.

It is made from a seed, written as plain values, and may be shortened: each item stands alone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tests.simulation.faults import Fault
from tests.simulation.posts import Post, make_late_pair, make_mistyped, make_posts

PARTS = ("brokers", "database", "object store", "cache", "delivery stream")
CONSUMERS = ("archive", "aggregate", "deadletter")
AREA_SHARE, BENT_SHARE = 0.35, 0.4
"""How many histories have an area of each kind."""
AMPLE_QUOTA, SMALL_QUOTA = 1e6, 1.0


class Outage(NamedTuple):
    """A part that does not answer for a while."""

    at: float
    seconds: float
    part: str


class Change(NamedTuple):
    """Something else that happens at a moment."""

    at: float
    kind: str
    what: str


# Kinds of changes.
FORGET, REASSIGN, POISON = "the cache forgets", "partitions are assigned anew", "poison is stored"
STOP, ROTATE, RULE = "idle processes end", "a key is rotated and revoked", "a rule is made"
REPLAY, CANCEL, STOP_REPLAYS = "a replay is planned and applied", "a replay is cancelled", "executions are stopped"
AHEAD, REDRIVE = "a newer release writes", "dead letters are re-driven"
KILLER = "a record ends the processes that read it"
FORGE, CANCEL_REDRIVES, MERGE = "a plan is changed by hand", "re-drives are cancelled", "a fix makes one event of two"

_CHANGES = (
    (FORGET, REASSIGN, POISON, STOP, ROTATE, AHEAD, KILLER),
    (2, 3, 2, 2, 2, 3, 1),
)
"""Changes that any history may have, and how often each."""

# Areas beside the way of an event to the stores.
RUNS = ALERTS, REPLAYS, REDRIVES = "alerts", "replays", "redrives"
"""What more functions run for."""
BENT = BATCHES, ROLLUPS, LIMITS = "batches", "rollups", "limits"
"""What a history is bent to: batches that fail in parts, minutes that change while they are rolled, a small quota."""
AREAS = (*RUNS, *BENT)


@dataclass(frozen=True)
class History:
    """All of it."""

    seed: str
    seconds: float
    batch_size: int
    areas: frozenset[str]
    """What runs beside the way of an event to the stores."""
    open_share: float
    """How often others run while a transaction is open."""
    quota: float
    """How many events a second the fleet may send."""
    posts: tuple[Post, ...]
    outages: tuple[Outage, ...]
    changes: tuple[Change, ...]
    faults: tuple[Fault, ...] | None = None
    """None: they are drawn."""

    @property
    def size(self) -> int:
        """How many items it has."""
        return len(self.posts) + len(self.outages) + len(self.changes) + len(self.faults or ())

    def lines(self) -> list[str]:
        """Write it for a person."""
        items = [
            *((post.at, f"post {len(post.events)} events to {post.events[0].route}") for post in self.posts),
            *((outage.at, f"{outage.part} away for {outage.seconds:.0f} s") for outage in self.outages),
            *((change.at, f"{change.kind} ({change.what})") for change in self.changes),
        ]
        written = [f"{at:8.1f} s  {text}" for at, text in sorted(items)]
        written += [
            f"at step {fault.place.step} of {fault.place.function}#{fault.place.invocation}: {fault.kind}"
            for fault in self.faults or ()
        ]
        return [
            f"seed {self.seed}, batches of {self.batch_size}, {', '.join(sorted(self.areas)) or 'no areas'}",
            *written,
        ]

    def with_faults(self, faults: Sequence[Fault]) -> "History":
        """Return it with the faults that were drawn."""
        return replace(self, faults=tuple(faults))


def make_history(seed: str, area: str = "") -> History:
    """Make a history from a seed; if an area is named, one that has it and no other."""
    draw = random.Random(f"{seed}/history")
    areas = _draw_areas(draw, area)
    seconds = draw.choice((60.0, 180.0, 400.0))
    posts = make_posts(draw, seconds, few_minutes=ROLLUPS in areas, large=bool({BATCHES, LIMITS} & areas))
    outages = [
        Outage(seconds * draw.random(), draw.choice((3.0, 20.0, 90.0)), draw.choice(PARTS))
        for _ in range(draw.choice((0, 0, 1, 2, 4)))
    ]
    if REPLAYS in areas:
        posts += make_late_pair(draw, seconds)
    if REDRIVES in areas:
        posts.append(make_mistyped(seconds * 0.1))
    if LIMITS in areas:
        outages.append(Outage(seconds * 0.2, 90.0, "cache"))
    changes = [*_make_changes(draw, seconds, areas), *_make_changes_of_areas(draw, seconds, areas)]
    return History(
        seed,
        seconds,
        draw.choice((20, 200) if BATCHES in areas else (3, 20, 200)),
        areas,
        draw.choice((0.3, 0.6) if ROLLUPS in areas else (0.0, 0.05, 0.3)),
        SMALL_QUOTA if LIMITS in areas else AMPLE_QUOTA,
        tuple(posts),
        tuple(sorted(outages)),
        tuple(sorted(changes)),
    )


def _draw_areas(draw: random.Random, area: str) -> frozenset[str]:
    if area:
        return frozenset([area])
    running = [each for each in RUNS if draw.random() < AREA_SHARE]
    bent = [draw.choice(BENT)] if draw.random() < BENT_SHARE else []
    return frozenset([*running, *bent])


def _make_changes(draw: random.Random, seconds: float, areas: frozenset[str]) -> list[Change]:
    kinds = draw.choices(*_CHANGES, k=draw.choice((0, 1, 2, 5)))
    if BATCHES in areas:
        kinds += (POISON, AHEAD, AHEAD, KILLER)
    return [Change(seconds * draw.random(), kind, _draw_what(draw, kind)) for kind in kinds]


def _draw_what(draw: random.Random, kind: str) -> str:
    if kind in (REASSIGN, STOP):
        return draw.choice(CONSUMERS)
    if kind == KILLER:
        return draw.choice(("archive", "aggregate"))
    if kind == POISON:
        return draw.choice(("1", "1", "5", "60"))
    if kind == AHEAD:
        return f"{draw.choice(('envelope', 'contract'))} {draw.choice((1, 1, 3, 30))}"
    return ""


def _make_changes_of_areas(draw: random.Random, seconds: float, areas: frozenset[str]) -> list[Change]:
    changes = []
    if ALERTS in areas:
        changes += [Change(seconds * draw.random(), RULE, "another")]
        changes += [Change(seconds * draw.random(), REASSIGN, draw.choice(("detect", "alert")))]
    if REPLAYS in areas:
        for _ in range(draw.choice((1, 1, 2))):
            changes.append(Change(seconds * draw.random(), REPLAY, draw.choice(("", "all"))))
        for kind in draw.sample((CANCEL, STOP_REPLAYS, "", ""), 2):
            if kind:
                changes.append(Change(seconds * draw.random(), kind, ""))
        changes += [Change(seconds * draw.random(), REASSIGN, "recount")]
        changes += [Change(seconds * draw.random(), FORGE, "")] if draw.random() < 0.3 else []
    if REDRIVES in areas:
        for _ in range(draw.choice((1, 2, 3))):
            changes.append(Change(seconds * (0.3 + draw.random()), REDRIVE, draw.choice(("proposed", "other"))))
        for kind in (CANCEL_REDRIVES, MERGE):
            if draw.random() < 0.3:
                changes.append(Change(seconds * (0.3 + draw.random()), kind, ""))
    return changes
