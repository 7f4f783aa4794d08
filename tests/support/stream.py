"""What tests post: batches of all contracts, with the faults that real fleets have."""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from cli.simulation.clocks import LATEST, ended_minutes, now
from cli.simulation.devices import ACTIVITY, EVENTS, READINGS, Fleet, Sent, write


def load(
    seed: int, count: int, seconds: float, enough: Callable[[], bool] = lambda: True, devices: int = 100
) -> Iterator[list[Sent]]:
    """Batches of all contracts, some events twice, spread over some seconds so that a fault falls among them.

    At least so many events, and more until it is enough, but not for ever. A third of them happen now: their minutes
    close later.
    """
    latest = time.monotonic() + 5 * seconds
    fleet, draw = Fleet(seed, devices, ended_minutes(seed, live_share=0.3)), random.Random(seed)
    size, previous = 50, list[Sent]()
    for turn in itertools.count():
        if turn * size >= count and (enough() or time.monotonic() > latest):
            return
        route = draw.choices((EVENTS, READINGS, ACTIVITY), (8, 1, 1))[0]
        again = previous[:5] if previous and previous[0].route == route else []
        previous = [fleet.good_event(route) for _ in range(size - len(again))]
        yield [*again, *previous]
        time.sleep(seconds * size / count)


def mixed(seed: int, count: int) -> Iterator[list[Sent]]:
    """All that real fleets do to events: bad ones, late ones, copies in one batch, across batches, and altered."""
    fleet, draw = Fleet(seed, 60, ended_minutes(seed)), random.Random(seed)
    sent: list[Sent] = []
    for turn in itertools.count():
        if len(sent) >= count:
            return
        route = draw.choices((EVENTS, READINGS, ACTIVITY), (7, 2, 1))[0]
        events = [event for event in (fleet.event(route) for _ in range(40)) if event.kind != "malformed"]
        events += draw.choices(events, k=4)
        if route == EVENTS:
            good = [event for event in (*events, *sent[-400:]) if event.kind == "telemetry"]
            events += [altered(event, draw) for event in draw.choices(good, k=4)]
        draw.shuffle(events)
        sent += events
        yield events
        if turn % 5 == 4:
            yield draw.choices([event for event in sent if event.route == route], k=40)


def altered(event: Sent, draw: random.Random) -> Sent:
    """The same id of the same device with another time and other numbers, and perhaps in capitals."""
    document: dict[str, Any] = json.loads(event.body)
    name = document["event_id"]
    document |= {
        "event_id": draw.choice((name, name.upper())),
        "timestamp": (now() - LATEST - timedelta(minutes=50 * draw.random())).isoformat(timespec="milliseconds"),
        "metrics": {metric: value + 1000 for metric, value in document["metrics"].items()},
    }
    return Sent(event.route, write(document), "altered")
