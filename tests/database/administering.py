"""An admin of a real database: what the gateway would pass on, and what the audit has of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import psycopg

from sluice.core.api.keys import KEYS, PublishedKey
from sluice.core.control.api_keys import KeyPeriods
from sluice.core.control.audit import Entry
from sluice.core.errors import Retryable
from sluice.edge.api.keystore import by_id
from sluice.edge.control.administration import Administration
from sluice.edge.control.allowances import Allowances
from sluice.edge.control.changing import Changer
from sluice.edge.control.destination_tests import DestinationTests
from sluice.edge.control.destinations import Destinations
from sluice.edge.control.fleets import Fleets
from sluice.edge.control.keys import Keys
from sluice.edge.control.redrives import Redrives
from sluice.edge.control.replays import Replays
from sluice.edge.control.rules import Rules
from sluice.edge.control.sources import SOURCES
from sluice.edge.control.store import ControlStore
from sluice.edge.database import Database
from sluice.edge.events.schemas import load_series
from sluice.edge.invoked import InvokedFunction
from tests.support.attempts import PlayedCache

if TYPE_CHECKING:
    from sluice.edge.control.publishing import Publisher

Owner = psycopg.Connection[tuple[Any, ...]]
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SOMEONE = "arn:aws:sts::123456789012:assumed-role/sluice-test-admin/someone"
FLEETS = "/v1/admin/fleets"


@dataclass(frozen=True)
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Admin:
    """Sends what the gateway would pass on of an admin's request."""

    dsn: str
    now: datetime = NOW
    unpublished: bool = False
    published: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """What was published last, by its kind."""
    cache: PlayedCache = field(default_factory=PlayedCache)
    notify: InvokedFunction = field(default_factory=lambda: InvokedFunction("notify", 1, "us-east-1"))
    """The function that tests destinations; a test gives one that answers."""
    _drawn: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.database = Database(partial(psycopg.connect, self.dsn, user="sluice_admin", autocommit=True), 5)
        self.administration = self.administer(self.database)

    def administer(self, database: Database) -> Administration:
        """Build the function on a database, as its handler does."""
        store = ControlStore(database)
        changer = Changer(store, cast("Publisher", self))
        periods = KeyPeriods(timedelta(days=7), timedelta(days=90))
        return Administration(
            store,
            Fleets(store, changer, "us-east-1"),
            Keys(store, changer, "test", periods, self._draw),
            Rules(store, changer, load_series()),
            Destinations(store, changer, "test"),
            self.replays(store),
            self.redrives(store),
            Allowances(store, self.cache.as_cache()),
            DestinationTests(store, self.notify, "test"),
        )

    def replays(self, store: ControlStore) -> Replays:
        """What answers about replays. No test here asks the function that plans them."""
        return Replays(store, InvokedFunction("replay", 1, "us-east-1"), lambda name, _given: name)

    def redrives(self, store: ControlStore) -> Redrives:
        """What answers about dead letters. No test here asks the function that reads them."""
        return Redrives(store, InvokedFunction("redrive", 1, "us-east-1"))

    def publish(self, kind: str, now: datetime) -> None:
        """Stand in for the publisher, which may fail, and for what it publishes."""
        if self.unpublished:
            raise Retryable("S3 does not answer")
        (source,) = (each for each in SOURCES if each.kind == kind)
        self.published[kind] = source.read(self.database, now)

    @property
    def keys(self) -> dict[str, PublishedKey]:
        """The published keys by their ids."""
        return by_id(self.published[KEYS])

    def _draw(self, length: int) -> str:
        return f"{next(self._drawn):0{length}d}"

    def __call__(
        self, method: str, path: str, body: object = None, principal: str | None = SOMEONE, **headers: str
    ) -> Got:
        place, _, query = path.partition("?")
        parts = place.removeprefix("/v1/admin/").split("/")
        things = {"consumers": "consumer", "destinations": "destination", "keys": "key", "rules": "rule"}
        names = ("", things.get(parts[0], "fleet"), "", things.get("".join(parts[2:3]), ""), "")
        named = {name: part for name, part in zip(names, parts, strict=False) if name}
        route = "/v1/admin/" + "/".join(
            f"{{{name}}}" if name else part for name, part in zip(names, parts, strict=False)
        )
        event = {
            "routeKey": f"{method} {route}",
            "rawQueryString": query,
            "pathParameters": named,
            "headers": {name.replace("_", "-"): value for name, value in headers.items()},
            "requestContext": {"timeEpoch": self.now.timestamp() * 1000, "requestId": "r-1"}
            | ({"authorizer": {"iam": {"userArn": principal}}} if principal else {}),
            "body": "" if body is None else json.dumps(body),
        }
        answer = self.administration.answer(event, 1)
        return Got(answer.status, answer.headers, json.loads(answer.body))


def entries(owner: Owner) -> list[Entry]:
    rows = owner.execute("SELECT number, entry, hash FROM audit ORDER BY number").fetchall()
    return [Entry(number, text.encode(), digest) for number, text, digest in rows]


def acts(owner: Owner) -> list[tuple[str, str]]:
    read = [json.loads(entry.text) for entry in entries(owner)]
    return [(each["action"], each["target"]) for each in read]


def make_fleet(admin: Admin, name: str = "f", **members: Any) -> Got:
    return admin("POST", FLEETS, {"fleet_id": name, **members})


def make_key(admin: Admin, role: str = "device", **headers: str) -> Got:
    return admin("POST", f"{FLEETS}/f/keys", {"role": role}, **headers)
