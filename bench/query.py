"""`make bench`, fifth part: how long answers take, from the request to the document, on a month of 10,000 devices.

Runs the handler's own function on a real database and cache, built as in a deployment. Only the directory of groups is
held in memory, as in a warm function.
"""

import argparse
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any
from unittest import mock

import msgspec

from bench.filling import fill_entities, fill_samples, fill_windows, mark_window, name_device, roll_all, roll_wider
from bench.report import Report
from bench.services import publish_keys
from bench.stores import Connection, Stores, running
from functions.query.handler import build
from local import seed
from local.synthesis import STAGE
from sluice.core.breaker import Breaker
from sluice.core.query.groups import Group, GroupAnswer, GroupQuestion
from sluice.core.rollups.resolutions import RESOLUTIONS, WIDTHS, floor_to
from sluice.edge import cache as valkey
from sluice.edge.database import Database
from sluice.edge.query.groups import Groups
from sluice.edge.query.routes import Query
from sluice.edge.rollups import rolling
from sluice.edge.rollups.rolling import Rolling
from sluice.edge.settings import CacheSettings

DEVICES, DAYS, MEMBERS = 10_000, 30, 100
ROLLED_MINUTES, ROLLED_SHARDS = 3, 4
"""The windows that are really rolled, and then copied."""
ACTIVE_FROM, ACTIVE_UNTIL = timedelta(hours=6), timedelta(hours=20)
TIMES = 30
LONGEST_SECONDS = 120
NO_WAIT = timedelta(0)
MINUTE, HOUR, DAY = WIDTHS["1m"], WIDTHS["1h"], WIDTHS["1d"]


class Took(msgspec.Struct):
    """Milliseconds of one answer, and how large it is."""

    wall: float
    ours: float
    database: float
    items: int
    kilobytes: float


def main() -> None:
    """Fill, ask and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--small", action="store_true", help="a few days of a tenth of the devices, for a quick try")
    small: bool = arguments.parse_args().small
    devices, days = (DEVICES // 10, 3) if small else (DEVICES, DAYS)
    with running() as stores, stores.connect() as connection:
        began = time.perf_counter()
        fill(stores, connection, devices, days)
        rows = ", ".join(f"{count:,} of {store}" for store, count in count_rows(connection))
        print(f"filled in {time.perf_counter() - began:.0f} s: {rows}", flush=True)
        key = seed.insert_key(connection, STAGE, seed.FLEET, "reader")
        publish_keys(stores.plan, stores.server.dsn(stores.name))
        parts = wire(stores)
        report = Report("query, small" if small else "query", 11)
        report.table(f"ms, the median of {TIMES} answers", ["wall", "ours", "database", "items", "kB"])
        for label, path, asked in questions(days):
            took = take(stores, parts, partial(make_event, key, path, asked))
            report.line(f"  {label}", msgspec.structs.astuple(took), timed=3)
    report.end()


def fill(stores: Stores, connection: Connection, devices: int, days: int) -> None:
    """Fill a month up to now: roll a few minutes, an hour and a day for real, and copy them."""
    now = datetime.now(UTC)
    today, this_hour = floor_to(now, DAY), floor_to(now, HOUR)
    hour, day, first = this_hour - 2 * HOUR, today - 2 * DAY, today - days * DAY
    fill_entities(connection, [seed.FLEET], devices)
    roller = make_roller(stores)
    rolled = (hour, hour + ROLLED_MINUTES * MINUTE)
    fill_samples(connection, *rolled)
    roll_all(roller, hour + HOUR)
    fill_windows(connection, "1m", rolled, [(rolled[1], hour + HOUR)], to_shards=ROLLED_SHARDS)
    mark_window(connection, "1h", hour, ROLLED_SHARDS)
    roll_wider(roller, "1h")
    copy = partial(fill_windows, connection, from_shards=ROLLED_SHARDS)
    copy("1h", (hour, hour + HOUR), [(day, day + DAY)], to_shards=ROLLED_SHARDS)
    mark_window(connection, "1d", day, ROLLED_SHARDS)
    roll_wider(roller, "1d")
    copy("1d", (day, day + DAY), [(first, today)])
    active = [(start + ACTIVE_FROM, start + ACTIVE_UNTIL) for start in (first + number * DAY for number in range(days))]
    copy("1h", (hour, hour + HOUR), active)
    copy("1m", (hour, hour + HOUR), active, devices=MEMBERS)
    connection.execute("VACUUM ANALYZE")
    # That took minutes. The day before now is whole at any hour: no day can have more.
    closed = floor_to(datetime.now(UTC), MINUTE) - MINUTE
    copy("1h", (hour, hour + HOUR), [(floor_to(closed, HOUR) - DAY, floor_to(closed, HOUR))])
    copy("1m", (hour, hour + HOUR), [(closed - DAY, closed)], devices=MEMBERS)
    fill_samples(connection, closed - 6 * MINUTE, closed + MINUTE)
    connection.execute("DELETE FROM dirty")
    connection.execute("UPDATE shard SET closed_until = %s", [closed])
    connection.execute(
        """
        INSERT INTO coverage (consumer, topic, partition, offsets, received_until)
        SELECT 'aggregate', 'raw-events', partition, '{[0,1000000)}', now() FROM generate_series(0, 29) AS partition
        """
    )
    connection.execute("ANALYZE sample")


def make_roller(stores: Stores) -> Rolling:
    """Make roll's side of the database, which waits for nothing."""
    login = stores.login("roll")
    store = Database(partial(rolling.connect, login, LONGEST_SECONDS), LONGEST_SECONDS)
    return Rolling(store, NO_WAIT, dict.fromkeys(RESOLUTIONS, NO_WAIT))


def count_rows(connection: Connection) -> Iterator[tuple[str, int]]:
    """Count what was filled."""
    for store in ("rollup_1m", "rollup_1h", "rollup_1d", "sample"):
        ((count,),) = connection.execute(f"SELECT count(*) FROM {store}").fetchall()  # noqa: S608 -- the names above
        yield store, int(count)


def questions(days: int) -> Iterator[tuple[str, str, str]]:
    """List the requests: the name in the report, the route's last part, and the parameters."""
    now = datetime.now(UTC)
    since_yesterday, month = (f"&from={write(now - span)}&to={write(now)}" for span in (DAY, days * DAY))
    yield "a device, the last 5 minutes", "recent", f"device={name_device(7)}"
    yield f"a group of {MEMBERS} devices, the last 5 minutes", "recent", "group=line-1"
    yield "a device over a day, by the minute", "rollups", f"device={name_device(7)}&resolution=1m{since_yesterday}"
    yield f"a device over {days} days, by the hour", "rollups", f"device={name_device(7)}&resolution=1h{month}"
    yield f"a group of {MEMBERS} devices over a day, by the hour", "rollups", f"group=line-1{since_yesterday}"
    yield "  one metric of it", "rollups", f"group=line-1&metric=cpu_temp{since_yesterday}"
    yield f"a fleet over {days} days, by the hour", "rollups", f"resolution=1h{month}"
    yield f"a fleet over {days} days, by the day", "rollups", f"resolution=1d{month}"
    yield "how a fleet is doing", "", ""
    yield "the first 100 of its devices", "devices", ""


def write(moment: datetime) -> str:
    """Write a moment for a query string."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def wire(stores: Stores) -> Query:
    """Build the function as in a deployment, except for the directory and one reader's rate."""
    with mock.patch.dict("os.environ", stores.environment("query")):
        parts = build()
        parts.gate.keys.load(datetime.now(UTC))
        shared = valkey.Cache(partial(valkey.connect, CacheSettings.from_environ(os.environ)))
    groups = Groups(know_group, shared, Breaker("the directory", 60, time.monotonic), DAY)
    # One key asks for all readers here.
    gate = msgspec.structs.replace(parts.gate, requests_per_second=100_000)
    return Query(gate, msgspec.structs.replace(parts.sources, groups=groups))


def know_group(wanted: GroupQuestion) -> GroupAnswer:
    """Return the one group: the devices that have minutes."""
    return GroupAnswer(group=Group(wanted.group_id or "", "Line 1", tuple(map(name_device, range(MEMBERS)))))


def make_event(key: str, path: str, asked: str) -> dict[str, Any]:
    """Write a request as the gateway passes it to the function."""
    route = "GET /v1/fleets/{fleet}" + (f"/{path}" if path else "")
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": route.removeprefix("GET ").format(fleet=seed.FLEET),
        "rawQueryString": asked,
        "pathParameters": {"fleet": seed.FLEET},
        "headers": {"user-agent": "bench", "x-api-key": key},
        "requestContext": {"requestId": "Yk2nTh3xIAMEVrA=", "timeEpoch": time.time_ns() // 1_000_000},
        "isBase64Encoded": False,
    }


def take(stores: Stores, parts: Query, ask: Any) -> Took:
    """Ask often enough, and take the median of each figure."""
    took = [take_one(stores, parts, ask()) for _ in range(TIMES + 1)][1:]  # the first one connects
    columns = zip(*(msgspec.structs.astuple(one) for one in took), strict=True)
    return Took(*(median(column) for column in columns))


def take_one(stores: Stores, parts: Query, event: dict[str, Any]) -> Took:
    """Ask once."""
    database, ours, wall = stores.database_seconds(), time.process_time(), time.perf_counter()
    answer = parts.answer(event, 1).for_gateway()
    wall, ours = time.perf_counter() - wall, time.process_time() - ours
    if answer["statusCode"] != 200:
        raise SystemExit(f"a request that should succeed was answered {answer}")
    database = stores.database_seconds() - database
    document = msgspec.json.decode(answer["body"])
    items = document.get("items", [])
    return Took(1e3 * wall, 1e3 * ours, 1e3 * database, len(items), len(answer["body"]) / 1e3)


if __name__ == "__main__":
    main()
