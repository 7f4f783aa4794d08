"""Query's answers, by route."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.ledger.statement import draw_up_for
from sluice.core.query.incidents import read_incidents
from sluice.core.query.letter_groups import read_letter_days
from sluice.core.query.questions import (
    Subject,
    ask_nothing,
    name_group,
    read_baselines,
    read_changes,
    read_counters,
    read_day,
    read_devices,
    read_recent,
    read_rollups,
)
from sluice.core.query.rollup_rows import list_series
from sluice.core.rollups.resolutions import WIDTHS, floor_to
from sluice.core.times import write_optional, write_time
from sluice.edge.api.gate import UNKNOWN_FLEET, Gate, ReaderRequest, answer
from sluice.edge.cache import CacheAwayError
from sluice.edge.ledger.statements import read_facts
from sluice.edge.query.baselines import list_baselines
from sluice.edge.query.changes import find_changes
from sluice.edge.query.entities import Entities
from sluice.edge.query.fleets import check_alive, read_status
from sluice.edge.query.groups import Groups
from sluice.edge.query.history import Historian
from sluice.edge.query.incidents import list_incidents, show_incident
from sluice.edge.query.letter_groups import FleetLetters
from sluice.edge.query.reading import Reader
from sluice.edge.query.recent import MOST_SAMPLES, read_received, read_samples
from sluice.edge.samples.counters import Counters

MARGIN = timedelta(hours=1)  # a cursor expires before maintain may have deleted the changes after it


class Sources(msgspec.Struct, frozen=True):
    """The sources of answers."""

    recent_for: timedelta
    changes_for: timedelta
    """How long maintain keeps changes."""
    reader: Reader
    entities: Entities
    history: Historian
    groups: Groups
    counters: Counters
    letters: FleetLetters


def check_health(sources: Sources) -> object:
    """Confirm that numbers can be read; otherwise refuse."""
    check_alive(sources.reader)
    return {"status": "ok"}


def list_fleets(asked: ReaderRequest, _sources: Sources) -> object:
    """List the fleets that a key may read: its own."""
    ask_nothing(asked.query)
    return {"items": [{"fleet_id": asked.key.fleet_id}], "next_cursor": None}


def show_fleet(asked: ReaderRequest, sources: Sources) -> object:
    """Show a fleet's status."""
    ask_nothing(asked.query)
    now = asked.now
    seconds, status = read_status(sources.reader, asked.fleet_id, now)
    received = read_received(sources.reader)
    closed = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return {
        "fleet_id": asked.fleet_id,
        "as_of": write_time(now),
        "freshness_seconds": received.age(now),
        "received_until": write_optional(received.until()),
        "watermark": write_optional(received.all_until()),
        "complete_until": {
            name: None if closed is None else write_time(floor_to(closed, width)) for name, width in WIDTHS.items()
        },
        **status,
    }


def list_devices(asked: ReaderRequest, sources: Sources) -> object:
    """List a page of a fleet's devices."""
    wanted = read_devices(asked.fleet_id, asked.query)
    found = sources.entities.list_devices(wanted)
    page, more = found[: wanted.limit], found[wanted.limit :]
    return {"items": page, "next_cursor": wanted.goes_on(page[-1].device_id) if more else None}


def list_groups(asked: ReaderRequest, sources: Sources) -> object:
    """List a fleet's groups."""
    ask_nothing(asked.query)
    names, as_of = sources.groups.names(asked.fleet_id, asked.correlation_id, asked.now)
    return {"as_of": write_time(as_of), "items": names.groups, "next_cursor": None}


def show_group(asked: ReaderRequest, sources: Sources) -> object:
    """Show one group."""
    ask_nothing(asked.query)
    group_id = name_group(asked.path["group"])
    group, as_of = sources.groups.group(asked.fleet_id, group_id, asked.correlation_id, asked.now)
    return {"as_of": write_time(as_of), **msgspec.structs.asdict(group)}


def read_last_minutes(asked: ReaderRequest, sources: Sources) -> object:
    """Read the samples of the last minutes."""
    now = asked.now
    wanted = read_recent(asked.fleet_id, asked.query)
    entities = sources.entities.find(wanted.subject, find_members(wanted.subject, asked, sources))
    start = now - sources.recent_for
    received = read_received(sources.reader)
    samples = read_samples(sources.reader, entities, start)
    book = sources.entities.book({key for sample in samples for key in sample.metric_keys})
    names = {entity.key: entity.device_id or "" for entity in entities}
    return {
        "as_of": write_time(now),
        "freshness_seconds": received.age(now),
        "from": write_time(start),
        "truncated": len(samples) == MOST_SAMPLES,
        "items": list_series(samples, names, book, wanted.metrics),
        "next_cursor": None,
    }


def read_history(asked: ReaderRequest, sources: Sources) -> object:
    """Read a page of rollups."""
    wanted = read_rollups(asked.fleet_id, asked.query, asked.now)
    return sources.history.read(wanted, find_members(wanted.subject, asked, sources))


def read_usual(asked: ReaderRequest, sources: Sources) -> object:
    """Read what is usual for a device's series."""
    items = list_baselines(sources.reader, read_baselines(asked.fleet_id, asked.query))
    return {"items": items, "next_cursor": None}


def read_live(asked: ReaderRequest, sources: Sources) -> object:
    """Read the live counters; while the cache is down the answer says so, and all other routes still work."""
    now, minute = asked.now, WIDTHS["1m"]
    minutes = [floor_to(now, minute) - back * minute for back in reversed(range(read_counters(asked.query)))]
    try:
        counts = sources.counters.read(asked.fleet_id, minutes)
    except CacheAwayError:
        return {"as_of": write_time(now), "available": False, "items": [], "next_cursor": None}
    items = [
        {"minute": write_time(start), "events": sum(types.values()), "types": dict(sorted(types.items()))}
        for start, types in zip(minutes, counts, strict=True)
    ]
    return {"as_of": write_time(now), "available": True, "items": items, "next_cursor": None}


def read_feed(asked: ReaderRequest, sources: Sources) -> object:
    """Read what was rolled since the cursor."""
    wanted = read_changes(asked.fleet_id, asked.query, asked.now, sources.changes_for - MARGIN)
    told, place = find_changes(sources.reader, wanted, asked.now)
    return {"items": told, "next_cursor": wanted.goes_on(place)}


def show_statement(asked: ReaderRequest, sources: Sources) -> object:
    """Account for every event of a day."""
    day, fleet_id = read_day(asked.query, asked.now), asked.key.fleet_id
    return draw_up_for(fleet_id, day.isoformat(), read_facts(sources.reader.read, day, fleet_id))


def list_letter_groups(asked: ReaderRequest, sources: Sources) -> object:
    """List the fleet's dead letters in groups."""
    wanted = read_letter_days(asked.key.fleet_id, asked.query, asked.now)
    groups, as_of = sources.letters.groups(wanted, asked.now)
    return {
        "as_of": write_time(as_of),
        "from": write_time(wanted.since),
        "to": write_time(wanted.until),
        **msgspec.structs.asdict(groups),
        "next_cursor": None,
    }


def list_fleet_incidents(asked: ReaderRequest, sources: Sources) -> object:
    """List a page of the fleet's incidents."""
    fleet_id = asked.key.fleet_id
    return list_incidents(sources.reader, read_incidents(fleet_id, asked.query, asked.now), asked.now)


def show_fleet_incident(asked: ReaderRequest, sources: Sources) -> object:
    """Show one incident of the fleet."""
    ask_nothing(asked.query)
    return show_incident(sources.reader, asked.key.fleet_id, asked.path["incident"], asked.now)


def find_members(subject: Subject, asked: ReaderRequest, sources: Sources) -> tuple[str, ...]:
    """Find the devices of a group."""
    if subject.group_id is None:
        return ()
    group, _ = sources.groups.group(subject.fleet_id, subject.group_id, asked.correlation_id, asked.now)
    return group.devices


# For each route: the function that answers, and for how many seconds the answer may be cached.
ROUTES: dict[str, tuple[Callable[[ReaderRequest, Sources], object], int]] = {
    "GET /v1/fleets": (list_fleets, 60),
    "GET /v1/fleets/{fleet}": (show_fleet, 2),
    "GET /v1/fleets/{fleet}/devices": (list_devices, 10),
    "GET /v1/fleets/{fleet}/groups": (list_groups, 30),
    "GET /v1/fleets/{fleet}/groups/{group}": (show_group, 30),
    "GET /v1/fleets/{fleet}/recent": (read_last_minutes, 1),
    "GET /v1/fleets/{fleet}/rollups": (read_history, 5),
    "GET /v1/fleets/{fleet}/baselines": (read_usual, 600),
    "GET /v1/fleets/{fleet}/counters": (read_live, 1),
    "GET /v1/fleets/{fleet}/changes": (read_feed, 0),
    "GET /v1/statement": (show_statement, 5),
    "GET /v1/dead-letters": (list_letter_groups, 60),
    "GET /v1/incidents": (list_fleet_incidents, 5),
    "GET /v1/incidents/{incident}": (show_fleet_incident, 5),
}


class Query(msgspec.Struct, frozen=True):
    """Answers readers."""

    gate: Gate
    sources: Sources

    def answer(self, event: Mapping[str, Any], retry_after: int) -> Answer:
        """Answer what is asked, or refuse it."""
        self.sources.reader.begin()
        if event["routeKey"] == "GET /health":
            # Without a key: the answer contains nothing about any fleet.
            return answer(event, UNKNOWN_FLEET, partial(check_health, self.sources), 0, retry_after)
        look_up, seconds = ROUTES[event["routeKey"]]

        def admit_and_look_up(asked: ReaderRequest) -> object:
            self.gate.admit(asked)
            return look_up(asked, self.sources)

        return self.gate.answer(event, admit_and_look_up, seconds, retry_after)
