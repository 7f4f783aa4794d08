"""What devices post in a history: good events, copies, altered copies, and events that break their contract."""

import json
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from cli.simulation.devices import ACTIVITY, EVENTS, READINGS, Fleet, Sent, write
from tests.simulation.timeline import BEGINS

WRONG = (timedelta(minutes=5), timedelta(minutes=-5), timedelta(hours=27), timedelta(hours=-27), timedelta(days=40_000))
"""By how much a device's clock is wrong."""
SPACED_SHARE = 0.3
FEW_MINUTES = (0.0, 60.0, 120.0)

STEADY_POSTS, STEADY_SECONDS = 30, 50.0

MISTYPED = 2
"""How many activities there are that only their wrong type tells apart."""


class Post(NamedTuple):
    """A batch that a client posts, and posts again until it is settled or the client gives up."""

    at: float
    events: tuple[Sent, ...]
    tries: int


def make_posts(draw: random.Random, seconds: float, *, few_minutes: bool, large: bool) -> list[Post]:
    """Make them: perhaps of few minutes, that change while they are rolled, or in large batches."""
    moment = BEGINS
    misnamed_share, broken_share = draw.choice((0.0, 0.3)), draw.choice((0.6,) if large else (0.0, 0.3))
    wrong_share, copied_share = draw.choice((0.0, 0.05, 0.3)), draw.choice((0.0, 0.1, 0.5))
    spaced = draw.random() < SPACED_SHARE

    def device_clock() -> datetime:
        if draw.random() < wrong_share:
            return moment + draw.choice(WRONG)
        if few_minutes:
            return BEGINS - timedelta(seconds=draw.choice(FEW_MINUTES) + draw.random())
        ago = draw.choice((0.0, 2.0, 60.0, 3000.0)) * draw.random()
        return moment - timedelta(seconds=ago)

    fleet = Fleet(draw.getrandbits(32), draw.choice((3, 20)), device_clock)
    posts: list[Post] = []
    sent: list[Sent] = []
    for at in sorted(
        seconds * draw.random() for _ in range(draw.choice(_count_posts(few_minutes=few_minutes, large=large)))
    ):
        moment = BEGINS + timedelta(seconds=at)
        route = EVENTS if few_minutes else draw.choices((EVENTS, READINGS, ACTIVITY), (8, 2, 1))[0]
        size = draw.choice((12, 30) if large else (1, 3, 12))
        events = [fleet.event(route) for _ in range(size)]
        whole = [event for event in events if event.kind != "malformed"]
        events = [_space(event) if spaced else event for event in whole or events[:1]]
        earlier = [event for event in (*sent, *events) if event.route == route and event.kind != "malformed"]
        if earlier and whole and draw.random() < copied_share:
            events += draw.choices(earlier, k=draw.randint(1, 3))
            events += [_alter(event, draw) for event in draw.choices(earlier, k=2) if event.kind == "telemetry"]
        sent += events
        if route == EVENTS and draw.random() < misnamed_share:
            events.append(_misname(events[0]))
        if route == EVENTS and draw.random() < broken_share:
            events = [_cut(events[0])] if draw.random() < 0.3 else [*events, _break(events[0], draw)]
        posts.append(Post(at, tuple(events), draw.choice((1, 3, 10))))
    return posts


def _count_posts(*, few_minutes: bool, large: bool) -> tuple[int, ...]:
    if few_minutes:
        return 15, 30
    return (3, 10) if large else (3, 10, 25)


def make_late_pair(draw: random.Random, seconds: float) -> list[Post]:
    """Make an event that comes too late to count, and after it one under its id that would be in time."""
    fleet = Fleet(draw.getrandbits(32), 3, lambda: BEGINS)
    sent = fleet.good_event()
    # Too late, and still within what replays compute again.
    moment = BEGINS - timedelta(minutes=65)
    late = json.loads(sent.body) | {"timestamp": moment.isoformat().replace("+00:00", "Z")}
    return [
        Post(seconds * 0.05, (Sent(EVENTS, write(late), "late"),), 10),
        Post(seconds * 0.3, (sent, fleet.good_event()), 10),
    ]


def make_later_posts(draw: random.Random, seconds: float) -> list[Post]:
    """Make events that come while replays run."""
    posts = []
    for at in (seconds * draw.uniform(0.4, 1.0) for _ in range(3)):
        fleet = Fleet(draw.getrandbits(32), 3, lambda at=at: BEGINS + timedelta(seconds=at))  # type: ignore[misc]
        posts.append(Post(at, (fleet.good_event(), fleet.good_event()), 10))
    return posts


def make_cut_posts(draw: random.Random, seconds: float) -> list[Post]:
    """Make bodies that are cut off."""
    fleet = Fleet(draw.getrandbits(32), 3, lambda: BEGINS)
    return [Post(seconds * draw.random(), (_cut(fleet.good_event()),), 10) for _ in range(3)]


def make_steady_posts(draw: random.Random, since: float, device: str) -> list[Post]:
    """Make events that a device goes on sending: its partition is delivered while records of it are run again."""
    posts = []
    for number in range(STEADY_POSTS):
        at = since + STEADY_SECONDS * number
        fleet = Fleet(draw.getrandbits(32), 1, lambda at=at: BEGINS + timedelta(seconds=at))  # type: ignore[misc]
        sent = fleet.good_event()
        posts.append(Post(at, (replace(sent, body=write(json.loads(sent.body) | {"device_id": device})),), 10))
    return posts


def make_misnamed(draw: random.Random, seconds: float) -> list[Post]:
    """Make events with a wrong name in them, which a fix can put right."""
    fleet = Fleet(draw.getrandbits(32), 3, lambda: BEGINS)
    return [
        Post(seconds * share, (_misname(fleet.good_event()), _misname(fleet.good_event())), 10) for share in (0.1, 0.3)
    ]


def make_mistyped(at: float) -> Post:
    """Make activities without an id whose type is a number, and that are alike beside it."""
    said = {"timestamp": BEGINS.isoformat().replace("+00:00", "Z"), "source": "gate-00", "metadata": {}}
    events = [Sent(ACTIVITY, write({"type": number, **said}), "mistyped") for number in range(MISTYPED)]
    return Post(at, tuple(events), 10)


def _space(event: Sent) -> Sent:
    """Write an event as a device with another library does."""
    return event if event.kind == "malformed" else replace(event, body=json.dumps(json.loads(event.body)).encode())


def _cut(event: Sent) -> Sent:
    """Return a body whose end is missing."""
    return Sent(event.route, event.body[:-9], "malformed")


def _break(event: Sent, draw: random.Random) -> Sent:
    """Return another event that breaks its contract."""
    if event.kind == "malformed":
        return event
    document = json.loads(event.body)
    document["event_id"] = f"{document['event_id'][:-4]}bad0"
    if draw.random() < 0.5:
        return Sent(event.route, write(document | {"device_firmware_version": "9.0.0"}), "unknown_firmware")
    return Sent(event.route, write(document | {"metrics": {"cpu_temp": "hot"}}), "invalid")


def _misname(event: Sent) -> Sent:
    """Return the event as devices with a certain bug send it: another, with a wrong name in it."""
    if event.kind == "malformed":
        return event
    document = json.loads(event.body)
    document["event_id"] = f"{document['event_id'][:-4]}dead"
    document["metrics"] = {name.replace("cpu_temp", "cpuTemp"): one for name, one in document["metrics"].items()}
    return Sent(event.route, write(document), "misnamed")


def _alter(event: Sent, draw: random.Random) -> Sent:
    """Return an event under the same id: with other numbers, at another time, or of another device."""
    document = json.loads(event.body)
    name = document["event_id"]
    kind = draw.choice(("numbers", "numbers", "time", "device"))
    if kind == "time":
        moment = datetime.fromisoformat(document["timestamp"]) - timedelta(seconds=draw.choice((90, 1500)))
        document["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    elif kind == "device":
        document["device_id"] = f"press-{draw.randrange(20):05d}"
    else:
        document["event_id"] = draw.choice((name, name.upper()))
        document["metrics"] = {metric: value + 1000 for metric, value in document["metrics"].items()}
    return Sent(event.route, write(document), "altered")
