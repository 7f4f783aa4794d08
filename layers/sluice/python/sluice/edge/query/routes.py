"""What query answers on each of its routes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.ledger.statement import draw_up_for
from sluice.core.numbers.resolutions import WIDTHS, floor_to
from sluice.core.query.questions import (
    Subject,
    ask_nothing,
    name_group,
    open_fleet,
    read_changes,
    read_counters,
    read_day,
    read_devices,
    read_recent,
    read_rollups,
)
from sluice.core.query.reports import (
    CounterReport,
    FleetName,
    FleetReport,
    GroupsReport,
    Listing,
    RecentReport,
    report_group,
    report_minutes,
    write_optional,
)
from sluice.core.query.windows import list_series
from sluice.core.times import write_time
from sluice.edge.api.gate import UNKNOWN_FLEET, Gate, ReaderRequest, answer
from sluice.edge.cache import CacheAwayError
from sluice.edge.ledger.statements import read_facts
from sluice.edge.numbers.counters import Counters
from sluice.edge.query.changes import ChangeReader
from sluice.edge.query.entities import Entities
from sluice.edge.query.fleets import FleetReader
from sluice.edge.query.groups import Groups
from sluice.edge.query.history import Historian
from sluice.edge.query.reading import Reader
from sluice.edge.query.recent import MOST_SAMPLES, RecentReader

MARGIN = timedelta(hours=1)  # a place in the feed is given up before maintain may have deleted what follows it


class Sources(msgspec.Struct, frozen=True):
    """Where answers come from."""

    recent_for: timedelta
    changes_for: timedelta
    """For how long maintain keeps changes."""
    reader: Reader
    entities: Entities
    recent: RecentReader
    history: Historian
    changes: ChangeReader
    fleets: FleetReader
    groups: Groups
    counters: Counters


class Question(msgspec.Struct, frozen=True):
    """A request on one of the routes, and the sources of its answer."""

    asked: ReaderRequest
    sources: Sources

    @property
    def fleet_id(self) -> str:
        """The fleet of the route, if it is the key's."""
        return open_fleet(self.asked.path, self.asked.key)

    @property
    def now(self) -> datetime:
        """When the request came."""
        return self.asked.request.received_at

    @property
    def query(self) -> str:
        """The query string."""
        return self.asked.query

    def members(self, subject: Subject) -> tuple[str, ...]:
        """Find out whose numbers a group's are."""
        if subject.group_id is None:
            return ()
        correlation_id = self.asked.request.correlation_id
        group, _ = self.sources.groups.group(subject.fleet_id, subject.group_id, correlation_id, self.now)
        return group.devices


def check_health(sources: Sources) -> object:
    """Say that numbers can be read; that they cannot is a refusal."""
    sources.fleets.alive()
    return {"status": "ok"}


def list_fleets(question: Question) -> object:
    """List the fleets that a key may read: its own."""
    ask_nothing(question.query)
    return Listing([FleetName(question.asked.key.fleet_id)])


def show_fleet(question: Question) -> object:
    """Tell how a fleet is doing."""
    ask_nothing(question.query)
    now = question.now
    status, received = question.sources.fleets.read(question.fleet_id, now), question.sources.recent.received()
    closed = None if status.closed_until is None else datetime.fromtimestamp(status.closed_until, UTC)
    return FleetReport(
        question.fleet_id,
        write_time(now),
        received.age(now),
        write_optional(received.until()),
        write_optional(received.all_until()),
        {name: None if closed is None else write_time(floor_to(closed, width)) for name, width in WIDTHS.items()},
        status.devices,
        status.events,
        status.metrics,
        status.firmware_versions,
        status.unknown_fields,
        status.gaps,
    )


def list_devices(question: Question) -> object:
    """List a page of a fleet's devices."""
    wanted = read_devices(question.fleet_id, question.query)
    found = question.sources.entities.list_devices(wanted)
    page, more = found[: wanted.limit], found[wanted.limit :]
    return Listing(page, wanted.goes_on(page[-1].device_id) if more else None)


def list_groups(question: Question) -> object:
    """List a fleet's groups."""
    ask_nothing(question.query)
    correlation_id = question.asked.request.correlation_id
    names, as_of = question.sources.groups.names(question.fleet_id, correlation_id, question.now)
    return GroupsReport(write_time(as_of), names.groups)


def show_group(question: Question) -> object:
    """Tell of one group."""
    ask_nothing(question.query)
    group_id, correlation_id = name_group(question.asked.path["group"]), question.asked.request.correlation_id
    return report_group(*question.sources.groups.group(question.fleet_id, group_id, correlation_id, question.now))


def read_last_minutes(question: Question) -> object:
    """Read the samples of the last minutes."""
    sources, now = question.sources, question.now
    wanted = read_recent(question.fleet_id, question.query)
    entities = sources.entities.find(wanted.subject, question.members(wanted.subject))
    start = now - sources.recent_for
    received = sources.recent.received()
    samples = sources.recent.read(entities, start)
    book = sources.entities.book({key for sample in samples for key in sample.metric_keys})
    names = {entity.key: entity.device_id or "" for entity in entities}
    return RecentReport(
        write_time(now),
        received.age(now),
        write_time(start),
        len(samples) == MOST_SAMPLES,
        list_series(samples, names, book, wanted.metrics),
    )


def read_history(question: Question) -> object:
    """Read a page of rollups."""
    wanted = read_rollups(question.fleet_id, question.query, question.now)
    return question.sources.history.read(wanted, question.members(wanted.subject))


def read_live(question: Question) -> object:
    """Read the live counters; while the cache is away the answer says so, and all other routes go on."""
    now, minute = question.now, WIDTHS["1m"]
    minutes = [floor_to(now, minute) - back * minute for back in reversed(range(read_counters(question.query)))]
    try:
        return report_minutes(minutes, question.sources.counters.read(question.fleet_id, minutes), now)
    except CacheAwayError:
        return CounterReport(write_time(now), available=False, items=[])


def read_feed(question: Question) -> object:
    """Read what was rolled since the cursor."""
    wanted = read_changes(question.fleet_id, question.query, question.now, question.sources.changes_for - MARGIN)
    told, place = question.sources.changes.read(wanted, question.now)
    return Listing(told, wanted.goes_on(place))


def show_statement(question: Question) -> object:
    """Account for every event of a day."""
    day, fleet_id = read_day(question.query, question.now), question.asked.key.fleet_id
    return draw_up_for(fleet_id, day.isoformat(), read_facts(question.sources.reader.read, day, fleet_id))


# For each route what looks up its answer, and for how many seconds the answer may be kept.
ROUTES: dict[str, tuple[Callable[[Question], object], int]] = {
    "GET /v1/fleets": (list_fleets, 60),
    "GET /v1/fleets/{fleet}": (show_fleet, 2),
    "GET /v1/fleets/{fleet}/devices": (list_devices, 10),
    "GET /v1/fleets/{fleet}/groups": (list_groups, 30),
    "GET /v1/fleets/{fleet}/groups/{group}": (show_group, 30),
    "GET /v1/fleets/{fleet}/recent": (read_last_minutes, 1),
    "GET /v1/fleets/{fleet}/rollups": (read_history, 5),
    "GET /v1/fleets/{fleet}/counters": (read_live, 1),
    "GET /v1/fleets/{fleet}/changes": (read_feed, 0),
    "GET /v1/statement": (show_statement, 5),
}


class Query(msgspec.Struct, frozen=True):
    """Answers readers."""

    gate: Gate
    sources: Sources

    def answer(self, event: Mapping[str, Any], retry_after: int) -> Answer:
        """Answer what is asked, or refuse it."""
        self.sources.reader.begin()
        if event["routeKey"] == "GET /health":
            # Without a key: it tells nothing of any fleet.
            return answer(event, UNKNOWN_FLEET, partial(check_health, self.sources), 0, retry_after)
        look_up, seconds = ROUTES[event["routeKey"]]

        def admit_and_look_up(asked: ReaderRequest) -> object:
            self.gate.admit(asked)
            return look_up(Question(asked, self.sources))

        return self.gate.answer(event, admit_and_look_up, seconds, retry_after)
