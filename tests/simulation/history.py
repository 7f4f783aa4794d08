"""What happens in a history besides faults: what devices post, when parts are away, and what is moved or lost.

It is made from a seed, written as plain values, and may be shortened: each item stands alone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tests.simulation.faults import Fault
from tests.simulation.posts import (
    Post,
    make_cut_posts,
    make_late_pair,
    make_later_posts,
    make_misnamed,
    make_mistyped,
    make_posts,
    make_steady_posts,
)

PARTS = ("brokers", "database", "object store", "cache", "delivery stream")
CONSUMERS = ("archive", "aggregate", "deadletter")
AREA_SHARE, BENT_SHARE = 0.35, 0.4
"""How many histories have an area of each kind."""
AMPLE_QUOTA, SMALL_QUOTA = 1e6, 1.0
MANY_RETRIES = 10_000
KILLING = "press-killer"
"""The device whose records end processes."""
STEADY_SHARE = 0.5
"""How often a device goes on sending for long where records are run again."""


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
ATTEND, SPOIL = "a person attends to incidents", "numbers turn out to be wrong"
FORGE, CANCEL_REDRIVES, MERGE = "a plan is changed by hand", "re-drives are cancelled", "a fix makes one event of two"

_CHANGES = (
    (FORGET, REASSIGN, POISON, STOP, ROTATE, AHEAD, KILLER),
    (2, 3, 2, 2, 2, 3, 1),
)
"""Changes that any history may have, and how often each."""

# Areas beside the way of an event to the stores.
RUNS = ALERTS, REPLAYS, REDRIVES = "alerts", "replays", "redrives"
"""What more functions run for."""
BENT = BATCHES, ROLLUPS, LIMITS, KEYS, RERUNS = "batches", "rollups", "limits", "keys", "reruns"
"""What a history is bent to: batches that fail in parts, minutes that change while they are rolled, a small quota, keys
that are rotated and revoked, event sources that give batches up early, so that their records are run again."""
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
    retries: int
    """How often event sources retry a batch before they give it up."""
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
    # A replay finds nothing before files of raw are there.
    seconds = draw.choice((180.0, 300.0) if {REPLAYS, REDRIVES} & areas else (60.0, 180.0, 400.0))
    posts = make_posts(draw, seconds, few_minutes=ROLLUPS in areas, large=bool({BATCHES, LIMITS} & areas))
    outages = [
        Outage(seconds * draw.random(), draw.choice((3.0, 20.0, 90.0)), draw.choice(PARTS))
        for _ in range(draw.choice((0, 0, 1, 2, 4)))
    ]
    if REPLAYS in areas:
        posts += make_late_pair(draw, seconds)
        posts += make_later_posts(draw, seconds)
    if RERUNS in areas and draw.random() < STEADY_SHARE:
        posts += make_steady_posts(draw, seconds, KILLING)
    if REDRIVES in areas:
        posts += [make_mistyped(seconds * 0.1), *make_misnamed(draw, seconds)]
    if LIMITS in areas:
        outages.append(Outage(seconds * 0.2, 90.0, "cache"))
    moments: list[float] = []
    if BATCHES in areas:
        # While there is a batch to fail.
        moments = [draw.choice(posts).at for _ in range(2)]
        outages += [Outage(at, draw.choice((20.0, 60.0)), draw.choice(PARTS)) for at in moments]
        posts += make_cut_posts(draw, seconds)
    if ALERTS in areas:
        outages += [Outage(seconds * draw.random(), seconds * 0.4, "topics") for _ in range(draw.choice((0, 1, 1)))]
    changes = [
        *_make_changes(draw, seconds),
        *_make_changes_of_areas(draw, seconds, areas),
        *_bend_changes(draw, seconds, areas, moments),
    ]
    if REPLAYS in areas:
        # A replay of everything takes out of the numbers what raw lacks, as its page says.
        changes = [one for one in changes if (one.kind, one.what) != (KILLER, "archive")]
    return History(
        seed,
        seconds,
        draw.choice((20, 200) if BATCHES in areas else (3, 20, 200)),
        areas,
        draw.choice((0.3, 0.6) if ROLLUPS in areas else (0.0, 0.05, 0.3)),
        draw.choice((2, 4)) if RERUNS in areas else MANY_RETRIES,
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


def _make_changes(draw: random.Random, seconds: float) -> list[Change]:
    kinds = draw.choices(*_CHANGES, k=draw.choice((0, 1, 2, 5)))
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
        changes += [Change(seconds * draw.random(), ATTEND, what) for what in ("acknowledge", "resolve", "acknowledge")]
    if REPLAYS in areas:
        for _ in range(draw.choice((1, 2, 3))):
            changes.append(Change(seconds * draw.uniform(0.3, 0.8), REPLAY, draw.choice(("", "all", "all"))))
        for kind in draw.sample((CANCEL, STOP_REPLAYS, "", "", ""), 2):
            if kind:
                changes.append(Change(seconds * draw.uniform(0.3, 1.0), kind, ""))
        changes += [Change(seconds * draw.uniform(0.3, 1.0), REASSIGN, "recount")]
        changes += [Change(seconds * 0.5 * draw.random(), KILLER, "aggregate")] if draw.random() < 0.3 else []
        changes += [Change(seconds * 0.3, SPOIL, "")] if draw.random() < 0.6 else []
        changes += [Change(seconds * draw.random(), FORGE, "")] if draw.random() < 0.3 else []
    if REDRIVES in areas:
        changes += _make_redrives(draw, seconds)
    return changes


def _make_redrives(draw: random.Random, seconds: float) -> list[Change]:
    """Let consumers give records up, and ask for their re-drive and that of rejected events, with a fix and another."""
    changes = [Change(seconds * 0.2 * draw.random(), KILLER, consumer) for consumer in ("archive", "aggregate")]
    changes.append(Change(seconds * 0.2 * draw.random(), POISON, "1"))
    first = seconds * draw.uniform(0.3, 0.5)
    changes.append(Change(first, REDRIVE, "proposed"))
    for kind, what, share in ((CANCEL_REDRIVES, "", 0.5), (REDRIVE, "other", 1.0), (MERGE, "", 0.3)):
        if draw.random() < share:
            changes.append(Change(first + draw.uniform(10, 130), kind, what))
    # Once more, when all that may be stored is stored.
    return [*changes, Change(seconds + 150, REDRIVE, draw.choice(("proposed", "other")))]


def _bend_changes(draw: random.Random, seconds: float, areas: frozenset[str], moments: Sequence[float]) -> list[Change]:
    """Make changes of what a history is bent to. Poison comes at the moments at which devices post and a part goes."""
    changes = []
    if BATCHES in areas:
        for kind in (POISON, POISON, POISON, AHEAD, AHEAD, KILLER):
            at = draw.choice(moments) + 0.5 * draw.random() if kind == POISON else seconds * draw.random()
            changes.append(Change(at, kind, _draw_what(draw, kind)))
    if RERUNS in areas:
        changes += [Change(seconds * draw.random(), KILLER, what) for what in ("archive", "aggregate")]
    if KEYS in areas:
        changes += [Change(seconds * share, ROTATE, "") for share in (0.2, 0.6)]
    return changes
