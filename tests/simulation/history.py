"""What happens in a history besides faults: what devices post, when parts are away, and what is moved or lost.

It is made from a seed, written as plain values, and may be shortened: each item stands alone.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from cli.simulation.devices import ACTIVITY, EVENTS, READINGS, Fleet, Sent, write
from tests.simulation.faults import Fault
from tests.simulation.timeline import BEGINS

PARTS = ("brokers", "database", "object store", "cache", "delivery stream")
CONSUMERS = ("archive", "aggregate", "deadletter")
WRONG = (timedelta(minutes=5), timedelta(minutes=-5), timedelta(hours=27), timedelta(hours=-27), timedelta(days=40_000))
"""By how much a device's clock is wrong."""
AREA_SHARE = 0.35
"""How many histories have an area."""


class Post(NamedTuple):
    """A batch that a client posts, and posts again until it is settled or the client gives up."""

    at: float
    events: tuple[Sent, ...]
    tries: int


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

# Areas beside the way of an event to the stores.
AREAS = ALERTS, REPLAYS, REDRIVES = "alerts", "replays", "redrives"


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
    seconds = draw.choice((60.0, 180.0, 400.0))
    posts = _make_posts(draw, seconds)
    outages = [
        Outage(seconds * draw.random(), draw.choice((3.0, 20.0, 90.0)), draw.choice(PARTS))
        for _ in range(draw.choice((0, 0, 1, 2, 4)))
    ]
    drawn = [each for each in AREAS if draw.random() < AREA_SHARE]
    areas = frozenset([area] if area else drawn)
    changes = [*_make_changes(draw, seconds), *_make_changes_of_areas(draw, seconds, areas)]
    return History(
        seed,
        seconds,
        draw.choice((3, 20, 200)),
        areas,
        draw.choice((0.0, 0.05, 0.3)),
        tuple(posts),
        tuple(sorted(outages)),
        tuple(sorted(changes)),
    )


def _make_changes(draw: random.Random, seconds: float) -> list[Change]:
    changes = []
    for _ in range(draw.choice((0, 1, 2, 5))):
        kind = draw.choice((FORGET, REASSIGN, REASSIGN, POISON, STOP, ROTATE, AHEAD))
        what = draw.choice(CONSUMERS) if kind in (REASSIGN, STOP) else ""
        changes.append(Change(seconds * draw.random(), kind, what))
    return changes


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
    if REDRIVES in areas:
        for _ in range(draw.choice((1, 2))):
            changes.append(Change(seconds * (0.3 + draw.random()), REDRIVE, ""))
    return changes


def _make_posts(draw: random.Random, seconds: float) -> list[Post]:
    moment = BEGINS
    misnamed_share = draw.choice((0.0, 0.3))
    wrong_share, copied_share = draw.choice((0.0, 0.05, 0.3)), draw.choice((0.0, 0.1, 0.5))

    def device_clock() -> datetime:
        if draw.random() < wrong_share:
            return moment + draw.choice(WRONG)
        ago = draw.choice((0.0, 2.0, 60.0, 3000.0)) * draw.random()
        return moment - timedelta(seconds=ago)

    fleet = Fleet(draw.getrandbits(32), draw.choice((3, 20)), device_clock)
    posts: list[Post] = []
    sent: list[Sent] = []
    for at in sorted(seconds * draw.random() for _ in range(draw.choice((3, 10, 25)))):
        moment = BEGINS + timedelta(seconds=at)
        route = draw.choices((EVENTS, READINGS, ACTIVITY), (8, 2, 1))[0]
        events = [fleet.event(route) for _ in range(draw.choice((1, 3, 12)))]
        whole = [event for event in events if event.kind != "malformed"]
        events = whole or events[:1]
        earlier = [event for event in (*sent, *events) if event.route == route and event.kind != "malformed"]
        if earlier and whole and draw.random() < copied_share:
            events += draw.choices(earlier, k=draw.randint(1, 3))
            events += [_alter(event, draw) for event in draw.choices(earlier, k=1) if event.kind == "telemetry"]
        sent += events
        if route == EVENTS and draw.random() < misnamed_share:
            events.append(_misname(events[0]))
        posts.append(Post(at, tuple(events), draw.choice((1, 3, 10))))
    return posts


def _misname(event: Sent) -> Sent:
    """Return the event as devices with a certain bug send it: another, with a wrong name in it."""
    if event.kind == "malformed":
        return event
    document = json.loads(event.body)
    document["event_id"] = f"{document['event_id'][:-4]}dead"
    document["metrics"] = {name.replace("cpu_temp", "cpuTemp"): one for name, one in document["metrics"].items()}
    return Sent(event.route, write(document), "misnamed")


def _alter(event: Sent, draw: random.Random) -> Sent:
    """Return the same id with other numbers, perhaps in capitals."""
    document = json.loads(event.body)
    name = document["event_id"]
    document |= {
        "event_id": draw.choice((name, name.upper())),
        "metrics": {metric: value + 1000 for metric, value in document["metrics"].items()},
    }
    return Sent(event.route, write(document), "altered")
