"""Query: a reader's question becomes numbers, and what can be said of them.

authenticate -> admit by rate -> is it the key's fleet -> read the question -> look up -> one document with its tag
"""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.api.keys import StoredKey
from sluice.core.api.quotas import Quota
from sluice.core.api.representations import represent
from sluice.core.api.requests import Request, correlate, read_request
from sluice.core.breaker import Breaker
from sluice.core.errors import Refusal, Retryable
from sluice.core.ledger.statement import draw_up_for
from sluice.core.limits import Limits
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
from sluice.edge import cache as valkey
from sluice.edge import database
from sluice.edge.api.authenticate import authenticate
from sluice.edge.api.keystore import KeyStore
from sluice.edge.api.quotas import Quotas
from sluice.edge.invoked import InvokedFunction
from sluice.edge.ledger.statements import read_facts
from sluice.edge.numbers.counters import Counters
from sluice.edge.query.changes import ChangeReader
from sluice.edge.query.entities import Entities
from sluice.edge.query.fleets import FleetReader
from sluice.edge.query.groups import Groups, LookupFunction
from sluice.edge.query.history import Historian
from sluice.edge.query.moved import MovedRows
from sluice.edge.query.reading import Reader
from sluice.edge.query.recent import MOST_SAMPLES, RecentReader
from sluice.edge.query.rollups import RollupReader
from sluice.edge.settings import CacheSettings, DatabaseSettings, QuerySettings

logger = Logger()
metrics = Metrics()

BREAKS_AFTER = 3  # questions in a row that the directory did not answer
MARGIN = timedelta(hours=1)  # a place in the feed is given up before maintain may have deleted what follows it


class Parts(msgspec.Struct, frozen=True):
    """What a warm function holds."""

    settings: QuerySettings
    reader: Reader
    keys: KeyStore
    quotas: Quotas
    entities: Entities
    recent: RecentReader
    history: Historian
    changes: ChangeReader
    fleets: FleetReader
    groups: Groups
    counters: Counters


class Asked(msgspec.Struct, frozen=True):
    """A request that a key has let in."""

    request: Request
    key: StoredKey
    path: Mapping[str, str]
    query: str

    @property
    def fleet_id(self) -> str:
        """The fleet asked about, if it is the key's."""
        return open_fleet(self.path, self.key)

    @property
    def now(self) -> datetime:
        """When the request came."""
        return self.request.received_at


@cache
def build() -> Parts:
    """Put the function together, once per cold start."""
    settings = QuerySettings.from_environ(os.environ)
    shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    seconds = settings.query_answer_seconds
    store = database.Database(
        partial(database.connect, DatabaseSettings.from_environ(os.environ), seconds),
        # The server is to stop first: it says why.
        seconds + 1,
    )
    return compose(settings, store, shared)


def compose(
    settings: QuerySettings,
    store: database.Database,
    shared: valkey.Cache,
    invoked: Callable[[str, float, str], InvokedFunction] = InvokedFunction,
) -> Parts:
    """Put the parts together around a database, a cache and other functions of ours."""
    keys = KeyStore(
        store,
        shared,
        memory=timedelta(seconds=settings.key_memory_seconds),
        shared=timedelta(seconds=settings.key_cache_seconds),
    )
    reader = Reader(store, settings.query_answer_seconds)
    entities = Entities(reader)
    lookup = invoked(settings.lookup_function, settings.lookup_seconds, settings.aws_region)
    recall = invoked(settings.recall_function, settings.recall_seconds, settings.aws_region)
    return Parts(
        settings,
        reader,
        keys,
        Quotas(shared, settings.query_concurrency),
        entities,
        RecentReader(reader),
        Historian(entities, RollupReader(reader, Limits()), MovedRows(reader, recall)),
        ChangeReader(reader),
        FleetReader(reader),
        Groups(
            LookupFunction(lookup),
            shared,
            Breaker("the directory", settings.lookup_rest_seconds, time.monotonic, failures=BREAKS_AFTER),
            timedelta(seconds=settings.group_believed_seconds),
        ),
        Counters(shared),
    )


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request."""
    return query(event, build(), retry_after=1 + secrets.randbelow(5)).for_gateway()


def query(event: dict[str, Any], parts: Parts, retry_after: int) -> Answer:
    """Answer what is asked, or refuse it."""
    fleet_id = "unknown"
    try:
        request = read_request(event)
        parts.reader.begin()
        if request.route == "GET /health":
            return represent(encode(check_health(parts)), {}, request.correlation_id, seconds=0)
        key = authenticate(request, parts.keys, parts.settings.sluice_stage, "reader")
        fleet_id = key.fleet_id
        admit(key, request, parts)
        look_up, seconds = ROUTES[request.route]
        asked = Asked(request, key, event.get("pathParameters", {}), event.get("rawQueryString", ""))
        body = encode(look_up(asked, parts))
        return represent(body, event.get("headers", {}), request.correlation_id, seconds)
    except Retryable as error:
        refusal = Refusal(503, "numbers_unavailable", "The numbers cannot be read right now; try again.")
        refusal.__cause__ = error
    except Refusal as refused:
        refusal = refused
    count_refusal(fleet_id, refusal)
    return answer_refusal(refusal, correlate(event), retry_after)


def encode(document: object) -> bytes:
    """Write a document."""
    return msgspec.json.encode(document)


def admit(key: StoredKey, request: Request, parts: Parts) -> None:
    """Let a key ask so often and no oftener: one page left open must not take the numbers from the others."""
    rate = parts.settings.query_requests_per_second
    if parts.quotas.exceeded(f"reader/{key.key_id}", Quota(rate, rate), 1, request.received_at):
        raise Refusal(429, "quota_requests", f"This key may ask {rate:g} times a second.")


def check_health(parts: Parts) -> object:
    """Say that numbers can be read; that they cannot is a refusal."""
    parts.fleets.alive()
    return {"status": "ok"}


def list_fleets(asked: Asked, _parts: Parts) -> object:
    """List the fleets that a key may read: its own."""
    ask_nothing(asked.query)
    return Listing([FleetName(asked.key.fleet_id)])


def show_fleet(asked: Asked, parts: Parts) -> object:
    """Tell how a fleet is doing."""
    ask_nothing(asked.query)
    status, received = parts.fleets.read(asked.fleet_id, asked.now), parts.recent.received()
    closed = None if status.closed_until is None else datetime.fromtimestamp(status.closed_until, UTC)
    return FleetReport(
        asked.fleet_id,
        write_time(asked.now),
        received.age(asked.now),
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


def list_devices(asked: Asked, parts: Parts) -> object:
    """List a page of a fleet's devices."""
    wanted = read_devices(asked.fleet_id, asked.query)
    found = parts.entities.list_devices(wanted)
    page, more = found[: wanted.limit], found[wanted.limit :]
    return Listing(page, wanted.goes_on(page[-1].device_id) if more else None)


def list_groups(asked: Asked, parts: Parts) -> object:
    """List a fleet's groups."""
    ask_nothing(asked.query)
    names, as_of = parts.groups.names(asked.fleet_id, asked.request.correlation_id, asked.now)
    return GroupsReport(write_time(as_of), names.groups)


def show_group(asked: Asked, parts: Parts) -> object:
    """Tell of one group."""
    ask_nothing(asked.query)
    group_id = name_group(asked.path["group"])
    return report_group(*parts.groups.group(asked.fleet_id, group_id, asked.request.correlation_id, asked.now))


def read_last_minutes(asked: Asked, parts: Parts) -> object:
    """Read the samples of the last minutes."""
    wanted = read_recent(asked.fleet_id, asked.query)
    entities = parts.entities.find(wanted.subject, find_members(wanted.subject, asked, parts))
    start = asked.now - timedelta(seconds=parts.settings.recent_seconds)
    received = parts.recent.received()
    samples = parts.recent.read(entities, start)
    book = parts.entities.book({key for sample in samples for key in sample.metric_keys})
    names = {entity.key: entity.device_id or "" for entity in entities}
    return RecentReport(
        write_time(asked.now),
        received.age(asked.now),
        write_time(start),
        len(samples) == MOST_SAMPLES,
        list_series(samples, names, book, wanted.metrics),
    )


def read_history(asked: Asked, parts: Parts) -> object:
    """Read a page of rollups."""
    wanted = read_rollups(asked.fleet_id, asked.query, asked.now)
    return parts.history.read(wanted, find_members(wanted.subject, asked, parts))


def read_live(asked: Asked, parts: Parts) -> object:
    """Read the live counters; while nobody can tell, that is the answer, and everything else goes on."""
    minutes = [
        floor_to(asked.now, WIDTHS["1m"]) - number * WIDTHS["1m"]
        for number in reversed(range(read_counters(asked.query)))
    ]
    try:
        return report_minutes(minutes, parts.counters.read(asked.fleet_id, minutes), asked.now)
    except valkey.CacheAwayError:
        return CounterReport(write_time(asked.now), available=False, items=[])


def read_feed(asked: Asked, parts: Parts) -> object:
    """Read what was rolled since the cursor."""
    kept = timedelta(hours=parts.settings.change_hours) - MARGIN
    wanted = read_changes(asked.fleet_id, asked.query, asked.now, kept)
    told, place = parts.changes.read(wanted, asked.now)
    return Listing(told, wanted.goes_on(place))


def show_statement(asked: Asked, parts: Parts) -> object:
    """Account for every event of a day."""
    day = read_day(asked.query, asked.now)
    fleet_id = asked.key.fleet_id
    return draw_up_for(fleet_id, day.isoformat(), read_facts(parts.reader.read, day, fleet_id))


def find_members(subject: Subject, asked: Asked, parts: Parts) -> tuple[str, ...]:
    """Find out whose numbers a group's are."""
    if subject.group_id is None:
        return ()
    group, _ = parts.groups.group(subject.fleet_id, subject.group_id, asked.request.correlation_id, asked.now)
    return group.devices


# For each route who looks up its answer, and for how many seconds the answer may be kept.
ROUTES: dict[str, tuple[Callable[[Asked, Parts], object], int]] = {
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


def count_refusal(fleet_id: str, refusal: Refusal) -> None:
    """Count a refused request by who sent it and why; one that a service is to blame for is explained too."""
    metrics.add_dimension("fleet", fleet_id)
    metrics.add_dimension("reason", refusal.code)
    metrics.add_metric("RequestsRefused", MetricUnit.Count, 1)
    if isinstance(refusal.__cause__, Retryable):
        logger.warning("a request could not be answered", code=refusal.code, reason=str(refusal.__cause__))
