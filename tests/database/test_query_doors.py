"""Query's access rules: who may ask what, how often, and the answers while a dependency is away."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from local.seed import insert_key
from sluice.core.rollup_archive.recall import ArchivedRow, RecallAnswer, RecallQuestion
from sluice.core.times import write_time
from sluice.edge.query.routes import ROUTES
from tests.database.numbers import add_entity, add_metrics, add_window, close
from tests.support.readers import FLEET, SETTINGS, STAGE, Reader

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
Owner = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    reader = Reader(database)
    yield reader
    reader.close()


ASKED = [
    route.removeprefix("GET ").replace("{fleet}", FLEET).replace("{group}", "hall")
    + ("?device=press-1" if route.endswith("recent") else "")
    for route in ROUTES
]


@pytest.mark.parametrize("target", ASKED)
def test_every_route_wants_a_readers_key_of_its_own_fleet(owner: Owner, reader: Reader, target: str) -> None:
    owner.execute("INSERT INTO fleet (fleet_id) VALUES ('other')")
    keys = {
        "device": insert_key(owner, STAGE, FLEET, "device"),
        "revoked": insert_key(owner, STAGE, FLEET, "reader"),
        "other": insert_key(owner, STAGE, "other", "reader"),
    }
    owner.execute(
        "UPDATE api_key SET revoked_at = now() - interval '1 hour' WHERE key_id = %s", (keys["revoked"][9:25],)
    )
    expected = {None: (401, "missing_key"), "nonsense": (401, "malformed_key"), keys["device"]: (403, "wrong_role")}
    expected |= {keys["revoked"]: (401, "revoked_key")}
    if f"/{FLEET}" in target:
        expected |= {keys["other"]: (403, "wrong_fleet")}
    for key, (status, code) in expected.items():
        got = reader.get(target, key=key)
        assert (got.status, got.body["code"]) == (status, code)
        assert got.headers["content-type"] == "application/problem+json"
    assert reader.functions.asked == []


@pytest.mark.parametrize("target", ASKED)
def test_every_route_refuses_what_it_does_not_know(reader: Reader, target: str) -> None:
    got = reader.get(target + ("&" if "?" in target else "?") + "nonsense=1")
    assert (got.status, got.body["code"], got.body["parameter"]) == (400, "unknown_parameter", "nonsense")


def test_a_fleet_never_sees_anothers_devices(owner: Owner, reader: Reader) -> None:
    keys = add_metrics(owner)
    stranger = add_entity(owner, "other", "press-9")
    start = reader.now.replace(second=0, microsecond=0) - 10 * MINUTE
    add_window(owner, "1m", stranger, start, {"cpu_temp": [1.0]}, keys)
    got = reader.get(f"/v1/fleets/{FLEET}/rollups?device=press-9")
    assert (got.status, got.body["code"]) == (404, "device_unknown")
    # Not even through a group that names it.
    reader.functions.groups["hall"] = ("press-9",)
    assert reader.get(f"/v1/fleets/{FLEET}/rollups?group=hall").body["items"] == []
    assert reader.get(f"/v1/fleets/{FLEET}/recent?group=hall").body["items"] == []


def test_an_answer_that_the_reader_has_is_not_sent_again(owner: Owner, reader: Reader) -> None:
    keys = add_metrics(owner)
    device = add_entity(owner, FLEET, "press-1")
    start = reader.now.replace(minute=0, second=0, microsecond=0) - 5 * HOUR
    add_window(owner, "1h", device, start, {"cpu_temp": [1.0]}, keys)
    close(owner, start + 2 * HOUR)
    span = f"from={write_time(start)}&to={write_time(start + HOUR)}"
    asked = f"/v1/fleets/{FLEET}/rollups?device=press-1&resolution=1h&{span}"
    first = reader.get(asked)
    assert first.headers["cache-control"] == "private, max-age=5"
    again = reader.get(asked, if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, None)
    owner.execute("DELETE FROM rollup_1h")
    add_window(owner, "1h", device, start, {"cpu_temp": [1.0, 2.0]}, keys)
    assert reader.get(asked, if_none_match=first.headers["etag"]).status == 200


def test_a_long_answer_is_packed_for_who_can_unpack_it(owner: Owner, reader: Reader) -> None:
    for number in range(100):
        add_entity(owner, FLEET, f"press-{number:03d}")
    packed = reader.get(f"/v1/fleets/{FLEET}/devices?limit=100", accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.body == reader.get(f"/v1/fleets/{FLEET}/devices?limit=100").body


def test_a_key_that_asks_too_often_gets_a_retry_after_and_others_do_not(database: str, owner: Owner) -> None:
    reader = Reader(database, settings=msgspec.structs.replace(SETTINGS, query_requests_per_second=0.5))
    statuses = [reader.get("/v1/fleets").status for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    got = reader.get("/v1/fleets")
    assert (got.body["code"], got.headers["retry-after"]) == ("quota_requests", "3")
    assert reader.get("/v1/fleets", key=insert_key(owner, STAGE, FLEET, "reader")).status == 200
    reader.now += timedelta(seconds=2)
    assert reader.get("/v1/fleets").status == 200
    reader.close()


def test_while_the_database_is_away_a_known_reader_gets_a_retry_after(reader: Reader) -> None:
    assert reader.get(f"/v1/fleets/{FLEET}").status == 200
    reader.close()
    reader.dsn = "postgresql://postgres@127.0.0.1:9/none"
    for target in (f"/v1/fleets/{FLEET}", f"/v1/fleets/{FLEET}/rollups", "/health"):
        got = reader.get(target)
        assert (got.status, got.body["code"]) == (503, "numbers_unavailable")
        assert got.headers["retry-after"] == "3"
    assert reader.refused == [*[(FLEET, "numbers_unavailable")] * 2, ("unknown", "numbers_unavailable")]
    # What needs no numbers is answered all the same.
    assert reader.get("/v1/fleets").status == 200
    reader.functions.groups["hall"] = ("press-1",)
    assert reader.get(f"/v1/fleets/{FLEET}/groups/hall").status == 200


def test_a_connection_that_was_cut_is_opened_again_without_an_error(owner: Owner, reader: Reader) -> None:
    assert reader.get(f"/v1/fleets/{FLEET}").status == 200
    idle = "pid <> pg_backend_pid() AND state = 'idle'"
    owner.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {idle}")
    assert reader.get(f"/v1/fleets/{FLEET}").status == 200
    assert len(reader.opened) == 2


def test_an_answer_that_takes_too_long_is_given_up_and_the_next_one_is_not(database: str) -> None:
    reader = Reader(database, settings=msgspec.structs.replace(SETTINGS, query_answer_seconds=0.3))
    with psycopg.connect(database) as busy:
        busy.execute("LOCK TABLE sighting IN ACCESS EXCLUSIVE MODE")
        got = reader.get(f"/v1/fleets/{FLEET}")
        assert (got.status, got.body["code"]) == (503, "too_slow")
    assert reader.get(f"/v1/fleets/{FLEET}").status == 200
    reader.close()


def test_a_request_while_keys_cannot_be_looked_up_is_refused_as_by_ingest(database: str) -> None:
    reader = Reader(database)
    reader.keys.away = True
    got = reader.get("/v1/fleets")
    assert (got.status, got.body["code"], got.headers["retry-after"]) == (429, "keys_unavailable", "3")


def test_live_counters_that_are_away_are_an_answer(reader: Reader) -> None:
    got = reader.get(f"/v1/fleets/{FLEET}/counters")
    assert (got.status, got.body["available"], got.body["items"]) == (200, False, [])


def test_groups_are_the_directorys_and_known_from_before_while_it_is_away(reader: Reader) -> None:
    reader.functions.groups = {"hall": ("press-1", "press-2"), "yard": ()}
    listed = reader.get(f"/v1/fleets/{FLEET}/groups").body
    assert [item["group_id"] for item in listed["items"]] == ["hall", "yard"]
    group = reader.get(f"/v1/fleets/{FLEET}/groups/hall", x_correlation_id="dash-7").body
    assert group["devices"] == ["press-1", "press-2"]
    assert reader.functions.asked[-1].correlation_id == "dash-7"
    reader.functions.away = True
    reader.now += HOUR
    again = reader.get(f"/v1/fleets/{FLEET}/groups/hall").body
    assert again == group
    got = reader.get(f"/v1/fleets/{FLEET}/groups/other")
    assert (got.status, got.body["code"], got.headers["retry-after"]) == (503, "directory_unavailable", "3")


def moved(reader: Reader, owner: Owner, start: Any) -> list[RecallQuestion]:
    """Record that hours before the start are in a file, with a fake function that reads it."""
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'rollup_1h'", (start,))
    owner.execute(
        "INSERT INTO tiered (resolution, window_from, window_to, object, row_count, first_fleet_id, first_device_id,"
        " last_fleet_id, last_device_id, digest) VALUES"
        " ('1h', %(a)s, %(b)s, 'near.parquet', 1, 'a', '', 'demo', 'press-2', 'd'),"
        " ('1h', %(a)s, %(b)s, 'far.parquet', 1, 'demo', 'press-3', 'z', 'z', 'd'),"
        " ('1m', %(a)s, %(b)s, 'minutes.parquet', 1, 'a', '', 'z', 'z', 'd')",
        {"a": start - 3 * HOUR, "b": start},
    )
    asked: list[RecallQuestion] = []

    def recall(payload: bytes) -> bytes:
        question = msgspec.json.decode(payload, type=RecallQuestion)
        asked.append(question)
        windows = (question.window_to - question.window_from) // HOUR
        if windows > 2:
            return msgspec.json.encode(RecallAnswer(too_much="too much"))
        rows = [
            ArchivedRow(
                question.window_from + number * HOUR, device, "cpu_temp", "degC", 2, 1.5, 1, 2, 1.5, 1.95, 3, 0.5,
                *(((10, 20), (1, 1)) if question.digests else ()),
            )
            for number in range(windows)
            for device in question.device_ids or (None,)
        ]  # fmt: skip
        return msgspec.json.encode(RecallAnswer(tuple(rows)))

    reader.functions.rows = recall
    return asked


@pytest.mark.parametrize(
    ("subject", "devices", "count"),
    [("device=press-1", ("press-1",), 2), ("group=hall", ("press-1", "press-2"), 4), ("", None, 2)],
)
def test_rows_that_were_moved_to_files_are_read_from_there_page_by_page(
    owner: Owner, reader: Reader, subject: str, devices: tuple[str, ...] | None, count: int
) -> None:
    keys = add_metrics(owner)
    entities = [add_entity(owner, FLEET, name) for name in ("press-1", "press-2", None)]
    reader.functions.groups["hall"] = ("press-1", "press-2")
    start = reader.now.replace(minute=0, second=0, microsecond=0) - 10 * HOUR
    for entity in entities:
        add_window(owner, "1h", entity, start, {"cpu_temp": [5.0]}, keys)
    close(owner, start + 5 * HOUR)
    asked = moved(reader, owner, start)
    target = (
        f"/v1/fleets/{FLEET}/rollups?{subject}&resolution=1h&from={write_time(start - 4 * HOUR)}"
        f"&to={write_time(start + HOUR)}"
    )
    items = reader.walk(target)
    # The fake function has rows for every window it is asked for; the last one is the database's.
    assert [item["window_start"] for item in items] == [write_time(start + number * HOUR) for number in range(-4, 1)]
    assert [item["count"] for item in items] == [count] * 4 + [len(devices or "1")]
    assert {question.device_ids for question in asked} == {devices}
    assert {question.objects for question in asked} == {("near.parquet",)}
    assert {question.digests for question in asked} == {subject.startswith("group")}
    first = reader.get(target).body
    # Before the first file nothing is kept; the rest was closed long ago.
    assert [(one["state"], one["reason"]) for one in first["states"]] == [("gap", "not_kept"), ("complete", None)]


def test_one_window_that_cannot_be_carried_is_refused_with_what_to_do(owner: Owner, reader: Reader) -> None:
    add_entity(owner, FLEET, "press-1")
    start = reader.now.replace(minute=0, second=0, microsecond=0) - 10 * HOUR
    moved(reader, owner, start)
    reader.functions.rows = lambda _: msgspec.json.encode(RecallAnswer(too_much="ask for fewer metrics"))
    add_metrics(owner)
    span = f"from={write_time(start - HOUR)}&to={write_time(start)}"
    got = reader.get(f"/v1/fleets/{FLEET}/rollups?device=press-1&resolution=1h&{span}")
    assert (got.status, got.body["code"], got.body["detail"]) == (400, "range_too_large", "ask for fewer metrics")
