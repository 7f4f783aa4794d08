"""A plan names the files that can hold its hours' events, says what the ledger expects, and refuses what cannot be."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.replay.plan import PlanRefusedError, Wanted, read_plan
from sluice.edge.database import Connection
from sluice.edge.replay.planning import Place, Planning, name_list
from tests.database.replaying import connect_as

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = NINE + 5 * HOUR
RAW = "raw/region=here/"
WANTED = Wanted(NINE, NINE + HOUR, "demo")


@dataclass
class Buckets:
    """The raw bucket and the one of control data, in one."""

    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)

    def list_sizes(self, prefix: str) -> Iterator[dict[str, tuple[str, int]]]:
        yield {name: described for name, described in self.files.items() if name.startswith(prefix)}

    def find_size(self, name: str) -> tuple[str, int] | None:
        return self.files.get(name)

    def put(self, name: str, data: bytes, content_type: str) -> None:
        assert content_type == "application/json"
        self.stored[name] = data

    def find(self, name: str) -> tuple[bytes, str] | None:
        return (self.stored[name], "etag") if name in self.stored else None

    def add(self, day: str, name: str, size: int = 100) -> str:
        found = f"{RAW}dt={day}/{name}"
        self.files[found] = (f'"{name}"', size)
        return found


@pytest.fixture
def buckets() -> Buckets:
    return Buckets()


@pytest.fixture
def planning(buckets: Buckets) -> Planning:
    both: Any = buckets
    return Planning(Place("test", "here", both, both, 90, 100.0, 1000.0), Limits(), lambda: NOW)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect_as(database, "replay") as found:
        yield found


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(database, autocommit=True) as found:
        found.execute("INSERT INTO fleet (fleet_id) VALUES ('demo'), ('empty')")
        yield found


Owner = psycopg.Connection[tuple[Any, ...]]


def count(owner: Owner, consumer: str, outcome: str, events: int, hour: datetime = NINE) -> None:
    owner.execute(
        "INSERT INTO outcome VALUES (%s, 'demo', %s, 'telemetry', 2, %s, %s)", [consumer, hour, outcome, events]
    )


def fill(owner: Owner) -> None:
    """An hour in which aggregate never counted a hundred events."""
    count(owner, "archive", "archived", 1000)
    for outcome, events in (("counted", 850), ("duplicate", 30), ("late", 20)):
        count(owner, "aggregate", outcome, events)


def refusal(planning: Planning, connection: Connection, wanted: Wanted) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        planning.make(connection, wanted)
    return refused.value.status, refused.value.code


def test_a_plan_says_what_the_ledger_expects_and_stores_the_list_of_its_files(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    buckets.add("2026-11-20", "a", 300)
    plan = planning.make(connection, WANTED)
    assert (plan.expected.events, plan.expected.duplicates, plan.expected.uncounted) == (980, 30, 100)
    # By the bound on the rate, as no replay has ended yet.
    assert (plan.expected.least_seconds, plan.expected.seconds, plan.expected.most_seconds) == (51, 101, 202)
    assert (plan.files.count, plan.files.bytes) == (1, 300)
    assert msgspec.json.decode(buckets.stored[name_list(plan.files.digest)]) == {f"{RAW}dt=2026-11-20/a": '"a"'}
    assert read_plan(msgspec.to_builtins(plan)) == plan
    planning.check_files(connection, plan)


def test_what_cannot_be_replayed_is_refused_by_its_code(
    planning: Planning, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    for wanted, expected in (
        (Wanted(NINE, NINE + HOUR, "nobody"), (404, "unknown_fleet")),
        (Wanted(NINE, NINE + HOUR, "de\0mo"), (404, "unknown_fleet")),
        (Wanted(NINE, NINE + HOUR, "demo", ("press-9",)), (404, "unknown_device")),
        (Wanted(NINE, NINE + HOUR, "demo", ("a\0b",)), (404, "unknown_device")),
        (Wanted(NINE, NINE + HOUR, "empty"), (409, "range_empty")),
        (Wanted(NINE + HOUR, NINE + 2 * HOUR, "demo"), (409, "range_empty")),
        (Wanted(NINE - 2 * HOUR, NINE - HOUR, "demo"), (409, "range_empty")),
        (Wanted(NOW - 91 * DAY, NOW - 90 * DAY, "demo"), (409, "beyond_retention")),
        (Wanted(NINE + HOUR, NINE, "demo"), (400, "range_reversed")),
    ):
        assert refusal(planning, connection, wanted) == expected, wanted
    count(owner, "archive", "archived", 20_000_000)
    assert refusal(planning, connection, WANTED) == (409, "range_too_large")
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [NINE + HOUR])
    assert refusal(planning, connection, WANTED) == (409, "beyond_samples")


def test_events_that_were_received_after_their_hour_or_never_counted_are_no_empty_range(
    planning: Planning, connection: Connection, owner: Owner
) -> None:
    count(owner, "archive", "archived", 1000)
    # A fleet that was cut off for an hour, and is back.
    planning.make(connection, Wanted(NINE - HOUR, NINE, "demo"))
    # Of what aggregate never counted there is no sample that would tell whose events they are.
    owner.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('demo', 'press-1', 7)")
    expected = planning.make(connection, Wanted(NINE, NINE + HOUR, "demo", ("press-1",))).expected
    assert (expected.events, expected.uncounted) == (1000, 1000)


def test_files_are_those_whose_receptions_can_belong_to_the_hours(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner
) -> None:
    before, within, after, unknown = (buckets.add("2026-11-20", name) for name in ("before", "within", "after", "new"))
    next_day, other_day = buckets.add("2026-11-21", "backlog"), buckets.add("2026-11-18", "older")
    for name, first, last in (
        (before, NINE - 3 * HOUR, NINE - HOUR),
        (within, NINE - HOUR, NINE + HOUR / 2),
        # The latest event that counts in the hour is received an hour later, and some minutes if its clock ran ahead.
        (after, NINE + 3 * HOUR, NINE + 4 * HOUR),
        (next_day, NINE, NINE + HOUR),
        (other_day, NINE, NINE + HOUR),
    ):
        owner.execute("INSERT INTO counted_object VALUES (%s, 'tag', 1, 1, now(), %s, %s)", [name, first, last])
    found = planning.find_files(connection, WANTED, NINE, NINE + HOUR)
    # A file that reconcile has not counted yet may hold anything.
    assert set(found) == {within, unknown, next_day}
    late_after = NINE + HOUR + Limits().late
    owner.execute("UPDATE counted_object SET received_from = %s WHERE object = %s", [late_after, after])
    assert after in planning.find_files(connection, WANTED, NINE, NINE + HOUR)


def test_late_events_are_found_on_any_day_when_they_are_wanted(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    kept, gone = buckets.add("2026-12-24", "late"), f"{RAW}dt=2026-12-25/expired"
    for fleet_id, hour, name in (
        ("demo", NINE, kept),
        ("demo", NINE, gone),
        ("demo", NINE + HOUR, "another hour's"),
        ("other", NINE, "another fleet's"),
    ):
        owner.execute("INSERT INTO late_object VALUES (%s, %s, %s, 7)", [fleet_id, hour, name])
    assert planning.find_files(connection, WANTED, NINE, NINE + HOUR) == {}
    included = msgspec.structs.replace(WANTED, include_late=True)
    assert set(planning.find_files(connection, included, NINE, NINE + HOUR)) == {kept}
    assert planning.make(connection, WANTED).expected.events == 980
    assert planning.make(connection, included).expected.events == 980 + 14


def test_files_with_redriven_events_are_found_on_any_day(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    redriven, late_alone = buckets.add("2026-12-24", "redriven"), buckets.add("2026-12-24", "late")
    for name, late, again in ((redriven, 0, 3), (late_alone, 7, 0)):
        owner.execute("INSERT INTO late_object VALUES ('demo', %s, %s, %s, %s)", [NINE, name, late, again])
    assert set(planning.find_files(connection, WANTED, NINE, NINE + HOUR)) == {redriven}
    included = msgspec.structs.replace(WANTED, include_late=True)
    assert set(planning.find_files(connection, included, NINE, NINE + HOUR)) == {redriven, late_alone}
    # By the hour of their reception they are among what the ledger expects anyway.
    assert planning.make(connection, WANTED).expected.events == 980
    assert planning.make(connection, included).expected.events == 980 + 7


def test_a_plan_whose_files_are_not_what_they_were_is_refused(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    name = buckets.add("2026-11-20", "a")
    plan = planning.make(connection, WANTED)
    # A new file may have come since: events that were waiting.
    buckets.add("2026-11-20", "b")
    planning.check_files(connection, plan)
    # reconcile has looked through the first one meanwhile: it holds nothing of these hours.
    owner.execute("INSERT INTO counted_object VALUES (%s, 'tag', 1, 1, now(), %s, %s)", [name, NOW, NOW])
    assert name not in planning.find_files(connection, WANTED, NINE, NINE + HOUR)
    planning.check_files(connection, plan)
    for changed, told in ((None, "disappeared"), (('"other"', 100), "changed")):
        buckets.files.pop(name)
        if changed:
            buckets.files[name] = changed
        with pytest.raises(PlanRefusedError, match=told) as refused:
            planning.check_files(connection, plan)
        assert refused.value.code == "plan_outdated"
        buckets.add("2026-11-20", "a")
    buckets.stored.clear()
    with pytest.raises(PlanRefusedError) as refused:
        planning.check_files(connection, plan)
    assert refused.value.code == "plan_expired"


def test_how_long_it_takes_is_learned_from_earlier_replays_of_the_kind(
    planning: Planning, connection: Connection, owner: Owner
) -> None:
    fill(owner)

    def note(recounted: int, seconds: int, work: int, *, reprocess: bool = False) -> None:
        owner.execute(
            "INSERT INTO replay (plan_hash, plan, fleet_id, hours, state, execution, principal, counts, begun_at,"
            " claimed_at, ended_at) SELECT encode(sha256(%s::text::bytea), 'hex'),"
            " jsonb_build_object('reprocess', %s::boolean), 'demo', 'empty', 'done', '', '',"
            " jsonb_build_object('recounted', %s::bigint), jsonb_build_object("
            " 'resending', now() - make_interval(secs => %s), 'verifying', now()),"
            " now() - make_interval(secs => %s), now()",
            [recounted, reprocess, recounted, work, seconds],
        )

    note(980, 30, 10)
    note(981, 900, 800, reprocess=True)
    expected = planning.make(connection, WANTED).expected
    assert (expected.least_seconds, expected.seconds, expected.most_seconds) == (12, 30, 48)
    assert expected.seconds_from == "one replay like it, of 980 events"
    note(100_980, 130, 110)
    assert planning.make(connection, WANTED).expected.seconds == 30
    reprocessed = planning.make(connection, msgspec.structs.replace(WANTED, reprocess=True)).expected
    assert reprocessed.seconds_from == "one replay like it, of 981 events"


def test_a_plan_warns_of_what_may_still_come_and_of_what_raw_lacks(
    planning: Planning, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    assert planning.make(connection, WANTED).warnings == ()
    owner.execute("INSERT INTO hole VALUES ('archive', 'raw-events', 0, '[3,10)', now(), NULL, true)")
    count(owner, "archive", "archived", 10, NOW.replace(minute=0))
    still, lacks = planning.make(connection, Wanted(NOW - HOUR, NOW + HOUR, "demo")).warnings
    assert "may still arrive" in still
    assert "raw lacks 7 accepted events" in lacks


EXPIRED = msgspec.structs.replace(WANTED, reprocess=True)


def expire(owner: Owner, store: str = "sample") -> None:
    owner.execute("UPDATE horizon SET floor = %s WHERE store = %s", [NINE + HOUR, store])


def test_hours_whose_samples_have_expired_are_planned_as_a_whole_from_what_raw_has_since_a_day_before(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    owner.execute("INSERT INTO entity (fleet_id, device_id, shard) VALUES ('demo', 'press-1', 7)")
    names = [buckets.add(day, "a") for day in ("2026-11-18", "2026-11-19", "2026-11-20")]
    assert set(planning.find_files(connection, EXPIRED, NINE, NINE + HOUR)) == {names[2]}
    expire(owner)
    assert refusal(planning, connection, WANTED) == (409, "beyond_samples")
    some = msgspec.structs.replace(EXPIRED, device_ids=("press-1",))
    assert refusal(planning, connection, some) == (409, "beyond_samples")
    plan = planning.make(connection, EXPIRED)
    assert plan.files.count == 2
    assert set(planning.find_files(connection, EXPIRED, NINE, NINE + HOUR)) == set(names[1:])
    reach = planning.find_reach(connection, plan)
    assert reach is not None
    assert NINE - reach > 26 * HOUR
    # Hours that will not expire while the replay runs need no more than before.
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [NINE - 6 * HOUR])
    assert planning.find_reach(connection, plan) is None
    planning.check(connection, plan)


def test_expired_hours_are_refused_where_raw_or_the_hours_of_the_database_do_not_reach(
    planning: Planning, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    expire(owner)
    old = msgspec.structs.replace(EXPIRED, from_=NOW - 89 * DAY, to=NOW - 88 * DAY)
    assert refusal(planning, connection, old) == (409, "beyond_retention")
    expire(owner, "rollup_1h")
    assert refusal(planning, connection, EXPIRED) == (409, "beyond_retention")


def test_expired_hours_of_which_raw_lacks_events_are_refused(
    planning: Planning, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    expire(owner)
    hole = "INSERT INTO hole VALUES ('archive', 'raw-events', 0, '[3,10)', %s, NULL, true)"
    # Noticed before these hours, and long after them.
    owner.execute(hole, [NINE - DAY])
    owner.execute(hole.replace("3,10", "30,40"), [NINE + DAY])
    plan = planning.make(connection, EXPIRED)
    owner.execute(hole.replace("3,10", "10,20"), [NINE + 2 * HOUR])
    assert refusal(planning, connection, EXPIRED) == (409, "raw_incomplete")
    with pytest.raises(PlanRefusedError) as refused:
        planning.check(connection, plan)
    assert refused.value.code == "raw_incomplete"
    owner.execute("INSERT INTO missing_event VALUES ('archive', 'raw-events', 0, 12, 'demo', NULL, NULL, %s)", [NOW])
    planning.check(connection, plan)
    # Its files have fewer events than aggregate has counted.
    count(owner, "aggregate", "counted", 200)
    assert refusal(planning, connection, EXPIRED) == (409, "raw_incomplete")


def test_more_events_in_one_hour_do_not_hide_what_raw_lacks_of_another(
    planning: Planning, connection: Connection, owner: Owner
) -> None:
    fill(owner)
    expire(owner)
    # Events of the hour may be received in the hours beside it.
    count(owner, "aggregate", "counted", 60, NINE + HOUR)
    assert refusal(planning, connection, EXPIRED) == (409, "raw_incomplete")
    count(owner, "archive", "archived", 60, NINE + HOUR)
    planning.make(connection, EXPIRED)
    # Their hours may expire before the swap: they need the same.
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [NINE - 5 * HOUR])
    plan = planning.make(connection, EXPIRED)
    count(owner, "aggregate", "late", 101)
    assert refusal(planning, connection, EXPIRED) == (409, "raw_incomplete")
    with pytest.raises(PlanRefusedError) as refused:
        planning.check(connection, plan)
    assert refused.value.code == "raw_incomplete"
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'sample'", [NINE - 6 * HOUR])
    planning.check(connection, plan)


@pytest.mark.parametrize("indexed", [True, False])
def test_expired_hours_are_refused_while_a_counted_file_is_gone(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner, indexed: bool
) -> None:
    fill(owner)
    name = buckets.add("2026-11-19", "a")
    first, last = (NINE - 20 * HOUR, NINE - 19 * HOUR) if indexed else (None, None)
    owner.execute("INSERT INTO counted_object VALUES (%s, 'tag', 1, 1, now(), %s, %s)", [name, first, last])
    # One of another day, which expired long ago.
    owner.execute("INSERT INTO counted_object VALUES (%s, 'tag', 1, 1)", [f"{RAW}dt=2026-11-17/old"])
    expire(owner)
    plan = planning.make(connection, EXPIRED)
    planning.check(connection, plan)
    buckets.files.clear()
    for ask in (lambda: planning.make(connection, EXPIRED), lambda: planning.check(connection, plan)):
        with pytest.raises(PlanRefusedError, match=name) as refused:
            ask()
        assert refused.value.code == "raw_incomplete"


def test_a_plan_of_expired_hours_expects_what_is_sent_of_the_hours_around_them_too(
    planning: Planning, buckets: Buckets, connection: Connection, owner: Owner
) -> None:
    for hours in range(-5, 5):
        count(owner, "archive", "archived", 1200, NINE + hours * HOUR)
    buckets.add("2026-11-20", "a", 400 * 1024 * 1024)
    plan = planning.make(connection, EXPIRED)
    assert (plan.expected.events, plan.expected.seconds, plan.warnings) == (1200, 101, ())
    expire(owner)
    plan = planning.make(connection, EXPIRED)
    # From 125 minutes before it until 65 minutes after it; and the file is read in ten seconds.
    assert plan.expected.events == 1200 * (125 + 60 + 65) / 60
    assert plan.expected.seconds == 115
    assert ["decide which copy" in one for one in plan.warnings] == [True]
    count(owner, "archive", "archived", 20_000_000, NINE - HOUR)
    assert refusal(planning, connection, EXPIRED) == (409, "range_too_large")
