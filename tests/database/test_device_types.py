"""Types of devices in a real database, read page by page from a played directory."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from sluice.core.detect.device_types import AGAIN, MOST_ON_PAGE
from sluice.core.errors import Retryable
from sluice.edge.detect import device_types
from sluice.edge.detect.device_types import MOST_FAILURES, MOST_PAGES, DeviceTypes, TypeRows
from sluice.edge.invoked import Answer, InvokedFunction
from tests.database.replaying import connect_as
from tests.database.test_learn import HOUR, MINUTE, UNTIL, World

EVERY = HOUR
HEARD = "INSERT INTO entity (fleet_id, device_id, shard) SELECT %s, unnest(%s::text[]), 0 ON CONFLICT DO NOTHING"

Rows = psycopg.Connection[tuple[Any, ...]]


class Directory(InvokedFunction):
    """lookup, with a directory behind it."""

    def __init__(self) -> None:
        super().__init__("lookup", 1, "us-east-1")
        self.fleets: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.away: set[str] = set()
        self.size = MOST_ON_PAGE
        self.there = True

    def ask(self, question: object, kind: type[Answer]) -> Answer:
        """Answer a page, as lookup does."""
        asked: Any = msgspec.to_builtins(question)
        fleet, after = asked["fleet_id"], asked["types_after"]
        self.asked.append((fleet, after))
        if not self.there:
            return msgspec.convert({"problem": "no_directory"}, kind)
        if fleet in self.away:
            return msgspec.convert({"problem": "unavailable", "detail": "the directory answered 503"}, kind)
        if fleet not in self.fleets:
            return msgspec.convert({"problem": "unknown"}, kind)
        behind = sorted(name for name in self.fleets[fleet] if name > after)
        types = [{"device_id": name, "device_type": self.fleets[fleet][name]} for name in behind[: self.size]]
        return msgspec.convert({"types": {"devices": types, "more": len(behind) > self.size}}, kind)


class Types:
    """learn's side of the database, and the directory. Its devices have reported, but for those that are unheard."""

    def __init__(self, connection: Rows, owner: Rows) -> None:
        self.connection = connection
        self.owner = owner
        self.directory = Directory()
        self.unheard: set[str] = set()
        self.now = UNTIL

    def renew(self, *fleets: str, pages: int = 99) -> timedelta | None:
        for fleet, devices in self.directory.fleets.items():
            heard = [name for name in devices if name not in self.unheard]
            self.owner.execute(HEARD, [fleet, heard])
        left = iter([True] * pages)
        types = DeviceTypes(self.directory, EVERY)
        return types.renew(TypeRows(self.connection), fleets, self.now, lambda: next(left, False))

    @property
    def stored(self) -> dict[tuple[str, str], str]:
        rows = self.connection.execute("SELECT fleet_id, device_id, device_type FROM device_type").fetchall()
        return {(fleet, device): kind for fleet, device, kind in rows}


@pytest.fixture
def types(database: str) -> Iterator[Types]:
    with connect_as(database, "learn") as connection, psycopg.connect(database, autocommit=True) as owner:
        yield Types(connection, owner)


def test_types_are_read_once_an_hour_and_follow_the_directory(types: Types) -> None:
    types.directory.fleets = {"f": {"a": "press", "B": "lathe"}, "g": {"a": "robot"}}
    assert types.renew("f") == timedelta(0)
    assert types.stored == {("f", "a"): "press", ("f", "B"): "lathe"}
    types.directory.fleets["f"] = {"a": "lathe", "c": "press"}
    types.now += 59 * MINUTE
    assert types.renew("f") == 59 * MINUTE
    assert types.directory.asked == [("f", "")]
    types.now += MINUTE
    assert types.renew("f") == timedelta(0)
    assert types.stored == {("f", "a"): "lathe", ("f", "c"): "press"}


def test_a_fleet_of_many_devices_is_read_over_several_runs(types: Types) -> None:
    names = [f"press-{number:02d}" for number in range(2 * MOST_PAGES + 1)]
    types.directory.fleets, types.directory.size = {"f": dict.fromkeys(names, "press"), "g": {"a": "robot"}}, 1
    types.renew("f", "g", pages=3)
    assert (types.directory.asked[-1], len(types.stored)) == (("f", "press-01"), 3)
    types.now += MINUTE
    types.renew("f", "g")
    # The other fleet had not been tried for longest.
    assert types.directory.asked[3:5] == [("g", ""), ("f", "press-02")]
    assert len(types.directory.asked) == 3 + MOST_PAGES
    types.now += MINUTE
    types.renew("f", "g")
    assert len(types.stored) == len(names) + 1
    assert types.directory.asked[-1] == ("f", names[-2])
    del types.directory.fleets["f"][names[7]]
    types.now += HOUR
    types.renew("f", "g", pages=2 + 9)
    assert ("f", names[7]) not in types.stored
    assert ("f", names[8]) in types.stored


def test_while_the_directory_is_away_the_last_known_types_stay_and_become_old(types: Types) -> None:
    types.directory.fleets = {"f": {"a": "press"}, "g": {"a": "robot"}}
    types.renew("f", "g")
    types.now += HOUR
    types.directory.away = {"f"}
    types.directory.fleets["g"] = {"a": "lathe"}
    assert types.renew("f", "g") == HOUR
    assert types.stored == {("f", "a"): "press", ("g", "a"): "lathe"}
    asked = len(types.directory.asked)
    types.now += AGAIN - timedelta(seconds=1)
    types.renew("f", "g")
    assert len(types.directory.asked) == asked
    types.now += timedelta(days=1)
    assert types.renew("f", "g") == timedelta(days=1, seconds=3600 + 299)
    types.directory.away = set()
    types.now += AGAIN
    assert types.renew("f", "g") == AGAIN


def test_a_directory_that_answers_no_one_is_left_alone(types: Types) -> None:
    names = [f"fleet-{number}" for number in range(5)]
    types.directory.away = set(names)
    assert types.renew(*names) == timedelta(0)
    assert len(types.directory.asked) == MOST_FAILURES
    types.now += MINUTE
    assert types.renew(*names) == MINUTE
    assert [fleet for fleet, _ in types.directory.asked] == names[: 2 * MOST_FAILURES]


def test_what_is_no_answer_about_types_changes_nothing(types: Types, monkeypatch: pytest.MonkeyPatch) -> None:
    types.directory.fleets = {"f": {"a": "press"}}
    types.renew("f")
    types.now += HOUR

    def fail(*_: object) -> None:
        raise Retryable("lookup failed")

    monkeypatch.setattr(types.directory, "ask", fail)
    types.renew("f")
    monkeypatch.setattr(types.directory, "ask", lambda _, kind: msgspec.convert({"groups": {"groups": []}}, kind))
    types.now += AGAIN
    types.renew("f")
    assert types.stored == {("f", "a"): "press"}


def test_a_directory_that_lost_a_fleet_leaves_its_types_as_they_are(types: Types) -> None:
    names = [f"press-{number}" for number in range(4)]
    types.directory.fleets, types.directory.size = {"f": dict.fromkeys(names, "press")}, 2
    types.renew("f")
    stored = types.stored
    losses: list[dict[str, dict[str, str]]] = [{}, {"f": {}}, {"f": dict.fromkeys(names, "Press 3000")}]
    for lost in losses:
        types.directory.fleets = lost
        types.now += HOUR
        types.renew("f")
        assert types.stored.items() <= stored.items()
        assert types.stored
    assert types.renew("f") == 3 * HOUR
    types.directory.fleets = {"f": {"press-1": "lathe"}}
    types.now += AGAIN
    assert types.renew("f") == timedelta(0)
    assert types.stored == {("f", "press-1"): "lathe"}


def test_a_fleet_that_is_gone_in_the_middle_of_a_reading_keeps_the_types_behind(types: Types) -> None:
    types.directory.fleets, types.directory.size = {"f": {"a": "press", "b": "press"}}, 1
    types.renew("f")
    types.now += HOUR
    types.renew("f", pages=1)
    types.directory.fleets = {}
    types.renew("f")
    assert types.stored == {("f", "a"): "press", ("f", "b"): "press"}
    assert types.renew("f") == HOUR


def test_a_directory_that_never_ends_stores_nothing_and_its_reading_fails(
    types: Types, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_types, "MOST_PAGES_OF_FLEET", 3)
    names = [f"ghost-{number:02d}" for number in range(50)]
    types.directory.fleets, types.directory.size = {"f": {"a": "press"} | dict.fromkeys(names, "press")}, 2
    types.unheard = set(names)
    for _ in range(2):
        # The rest of a failed reading holds from one run to the next.
        types.renew("f", pages=2)
        types.renew("f", "g")
        assert types.stored == {("f", "a"): "press"}
        types.now += AGAIN
    assert [after for fleet, after in types.directory.asked if fleet == "f"] == ["", "ghost-00", "ghost-02"] * 2
    assert types.renew("f") == 2 * AGAIN


def test_a_page_of_devices_that_no_contract_allows_is_passed(types: Types) -> None:
    types.directory.fleets, types.directory.size = {"f": {" a": "press", " b": "press", "c": "lathe"}}, 1
    assert types.renew("f") == timedelta(0)
    assert types.stored == {("f", "c"): "lathe"}


def test_types_that_no_rule_or_no_directory_knows_are_forgotten(types: Types) -> None:
    types.directory.fleets = {"f": {"a": "press"}, "g": {"a": "robot"}}
    types.renew("f", "g")
    types.renew("g")
    assert types.stored == {("g", "a"): "robot"}
    types.directory.there = False
    types.now += HOUR
    types.renew("g")
    assert types.stored == {}
    assert types.renew() is None


def test_learn_reads_a_devices_type_with_its_series(database: str) -> None:
    world = World(database)
    for name in ("press-1", "press-2"):
        world.device(name)
        world.roll("rollup_1m", name, UNTIL - MINUTE, {"cpu_temp": [50.0, 51.0]})
    types = Types(world.learn, world.owner)
    types.directory.fleets = {"demo": {"press-1": "old-press"}, "other": {"press-2": "lathe"}}
    types.renew("demo", "other")
    assert {name: each.device_type for name, each in world.read().items()} == {"press-1": "old-press", "press-2": None}
    world.owner.close()
    world.learn.close()
