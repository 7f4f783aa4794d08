"""Query on a real database, with its own role: what readers get from its rows."""

import json
import math
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
import pytest

from sluice.core.samples.shards import shard_of
from sluice.core.times import write_time
from tests.database.numbers import add_entity, add_metrics, add_sample, add_window, close
from tests.support.readers import FLEET, Reader

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """The role that fills the database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    reader = Reader(database)
    yield reader
    reader.close()


@pytest.fixture
def keys(owner: psycopg.Connection[tuple[Any, ...]]) -> dict[str, int]:
    return add_metrics(owner)


Owner = psycopg.Connection[tuple[Any, ...]]


def this_minute(reader: Reader) -> datetime:
    return reader.now.replace(second=0, microsecond=0)


def rollups(subject: str, start: datetime, end: datetime, **more: object) -> str:
    words = [subject, f"from={write_time(start)}", f"to={write_time(end)}", *(f"{k}={v}" for k, v in more.items())]
    return f"/v1/fleets/{FLEET}/rollups?" + "&".join(filter(None, words))


def test_a_devices_minutes_are_what_was_rolled(owner: Owner, reader: Reader, keys: dict[str, int]) -> None:
    device = add_entity(owner, FLEET, "press-1")
    start = this_minute(reader) - 10 * MINUTE
    add_window(owner, "1m", device, start, {"cpu_temp": [40.0, 41.5, 43.0], "humidity": [50.0]}, keys)
    add_window(owner, "1m", device, start + MINUTE, {"cpu_temp": [44.0]}, keys)
    close(owner, start + 5 * MINUTE)
    status, body = reader.get(rollups("device=press-1", start, start + 3 * MINUTE))
    assert status == 200
    first, other, second = body.pop("items")
    assert first == {
        "window_start": write_time(start),
        "device_id": "press-1",
        "metric": "cpu_temp",
        "unit": "degC",
        "count": 3,
        "avg": 41.5,
        "min": 40.0,
        "max": 43.0,
        "p50": 41.5,
        "p95": pytest.approx(42.85),
        "sum": 124.5,
    }
    assert (other["metric"], other["count"]) == ("humidity", 1)
    assert (second["window_start"], second["avg"]) == (write_time(start + MINUTE), 44.0)
    assert body == {
        "resolution": "1m",
        "from": write_time(start),
        "to": write_time(start + 3 * MINUTE),
        "complete_until": write_time(start + 5 * MINUTE),
        "states": [
            {
                "from": write_time(start),
                "to": write_time(start + 3 * MINUTE),
                "state": "complete",
                "reason": None,
            }
        ],
        "next_cursor": None,
    }


def test_only_the_metrics_that_are_named_are_returned(owner: Owner, reader: Reader, keys: dict[str, int]) -> None:
    device = add_entity(owner, FLEET, "press-1")
    start = this_minute(reader) - 10 * MINUTE
    add_window(owner, "1m", device, start, {"cpu_temp": [40.0], "humidity": [50.0], "odd": [1.0]}, keys)
    asked = rollups("device=press-1&metric=humidity&metric=odd", start, start + MINUTE)
    close(owner, start + MINUTE)
    assert [item["metric"] for item in reader.get(asked).body["items"]] == ["humidity", "odd"]


def test_the_fleets_own_rows_are_returned_where_neither_device_nor_group_is_named(
    owner: Owner, reader: Reader, keys: dict[str, int]
) -> None:
    fleet, device = add_entity(owner, FLEET, None), add_entity(owner, FLEET, "press-1")
    start = this_minute(reader).replace(minute=0) - 3 * HOUR
    add_window(owner, "1h", fleet, start, {"cpu_temp": [1.0, 2.0]}, keys)
    add_window(owner, "1h", device, start, {"cpu_temp": [1.0]}, keys)
    (item,) = reader.get(rollups("", start, start + HOUR, resolution="1h")).body["items"]
    assert (item["count"], "device_id" in item) == (2, False)


def percentile(values: list[float], share: float) -> float:
    """Interpolated linearly between ranks; written independently of the product."""
    ordered, place = sorted(values), share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def test_a_groups_numbers_are_those_of_all_its_devices_readings_together(
    owner: Owner, reader: Reader, keys: dict[str, int]
) -> None:
    start = this_minute(reader).replace(minute=0) - 5 * HOUR
    readings: dict[tuple[datetime, str], list[float]] = {}
    devices = [f"press-{number}" for number in range(5)]
    for number, name in enumerate([*devices, "stranger"]):
        entity = add_entity(owner, FLEET, name)
        for hour in range(3):
            window = start + hour * HOUR
            if (number + hour) % 4 == 3:
                continue  # not every device sends all the time
            # Uneven: the mean of means, or of percentiles, would be far off.
            temperatures = [round(20 + 10 * number + 0.1 * one * (number + 1), 1) for one in range(3 + 20 * number)]
            odd = [1e-3 * (one + 1) ** 3 for one in range(4 + number)]
            add_window(owner, "1h", entity, window, {"cpu_temp": temperatures, "odd": odd}, keys)
            if name != "stranger":
                readings.setdefault((window, "cpu_temp"), []).extend(temperatures)
                readings.setdefault((window, "odd"), []).extend(odd)
    close(owner, start + 4 * HOUR)
    reader.functions.groups["hall"] = (*devices, "never-seen")
    body = reader.get(rollups("group=hall", start, start + 3 * HOUR, resolution="1h")).body
    assert {(item["window_start"], item["metric"]) for item in body["items"]} == {
        (write_time(window), metric) for window, metric in readings
    }
    for item in body["items"]:
        values = readings[datetime.fromisoformat(item["window_start"]), item["metric"]]
        assert (item["count"], item["min"], item["max"]) == (len(values), min(values), max(values))
        assert item["sum"] == pytest.approx(math.fsum(values))
        assert item["avg"] == pytest.approx(statistics.fmean(values))
        # Digests have the sensor's resolution, and 0.1 % where none is declared.
        fine = item["metric"] == "cpu_temp"
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            expected = percentile(values, share)
            assert abs(item[name] - expected) <= (0.051 if fine else 0.001 * expected)
        assert "device_id" not in item


def states(reader: Reader, asked: str) -> list[tuple[str, str | None, int]]:
    """The stretches of an answer, with their lengths in windows."""
    body = reader.get(asked).body
    width = {"1m": MINUTE, "1h": HOUR, "1d": DAY}[body["resolution"]]
    told, at = [], body["from"]
    for one in body["states"]:
        assert one["from"] == at
        at = one["to"]
        length = datetime.fromisoformat(one["to"]) - datetime.fromisoformat(one["from"])
        told.append((one["state"], one["reason"], length // width))
    assert at == body["to"]
    return told


def mark(owner: Owner, resolution: str, window: datetime, shard: int, entity: int | None) -> None:
    owner.execute(
        "INSERT INTO dirty (resolution, shard, window_start, entity_key) VALUES (%s, %s, %s, %s)",
        (resolution, shard, window, entity),
    )


def test_what_is_not_closed_or_waits_to_be_rolled_again_is_provisional(owner: Owner, reader: Reader) -> None:
    device, other = add_entity(owner, FLEET, "press-1"), add_entity(owner, FLEET, "press-2")
    shard, start = shard_of(FLEET, "press-1"), this_minute(reader) - 30 * MINUTE
    asked = rollups("device=press-1", start, start + 10 * MINUTE)
    assert states(reader, asked) == [("provisional", "not_closed", 10)]
    close(owner, start + 4 * MINUTE, [shard])
    assert states(reader, asked) == [("complete", None, 4), ("provisional", "not_closed", 6)]
    mark(owner, "1m", start + MINUTE, shard, device)
    mark(owner, "1m", start + 3 * MINUTE, shard, other)
    mark(owner, "1h", start + 3 * MINUTE, shard, device)
    assert states(reader, asked) == [
        ("complete", None, 1),
        ("provisional", "being_rolled_again", 1),
        ("complete", None, 2),
        ("provisional", "not_closed", 6),
    ]


def test_an_hour_is_provisional_while_one_of_its_minutes_is_rolled_again(owner: Owner, reader: Reader) -> None:
    device, shard = add_entity(owner, FLEET, "press-1"), shard_of(FLEET, "press-1")
    start = this_minute(reader).replace(minute=0) - 6 * HOUR
    asked = rollups("device=press-1", start, start + 5 * HOUR, resolution="1h")
    close(owner, start + 4 * HOUR + 30 * MINUTE, [shard])
    mark(owner, "1m", start + HOUR + 5 * MINUTE, shard, device)
    mark(owner, "1h", start + 2 * HOUR, shard, None)
    assert states(reader, asked) == [
        ("complete", None, 1),
        ("provisional", "being_rolled_again", 2),
        ("complete", None, 1),
        ("provisional", "not_closed", 1),
    ]
    assert reader.get(asked).body["complete_until"] == write_time(start + 4 * HOUR)


def test_a_group_and_a_fleet_are_complete_once_all_their_shards_are(owner: Owner, reader: Reader) -> None:
    names = ["press-1", "press-2"]
    assert len({shard_of(FLEET, name) for name in names}) == 2
    for name in (*names, None):
        add_entity(owner, FLEET, name)
    reader.functions.groups["hall"] = tuple(names)
    start = this_minute(reader) - 30 * MINUTE
    close(owner, start + 8 * MINUTE, [shard_of(FLEET, "press-1")])
    close(owner, start + 2 * MINUTE, [shard_of(FLEET, "press-2")])
    for subject, length in (("device=press-1", 8), ("group=hall", 2)):
        assert states(reader, rollups(subject, start, start + 10 * MINUTE))[0] == ("complete", None, length)
    assert states(reader, rollups("", start, start + 10 * MINUTE)) == [("provisional", "not_closed", 10)]


def test_windows_around_records_that_were_passed_over_are_gaps_until_those_are_counted(
    owner: Owner, reader: Reader
) -> None:
    add_entity(owner, FLEET, "press-1")
    start = this_minute(reader).replace(minute=0) - 10 * HOUR
    close(owner, start + 9 * HOUR)

    def cover(offsets: str, until: datetime) -> None:
        owner.execute(
            "INSERT INTO coverage VALUES ('aggregate', 'raw-events', 3, %(offsets)s, %(until)s)"
            " ON CONFLICT (consumer, topic, partition) DO UPDATE SET offsets = coverage.offsets + %(offsets)s,"
            " received_until = greatest(coverage.received_until, %(until)s)",
            {"offsets": offsets, "until": until},
        )

    cover("{[100,200)}", start + 2 * HOUR + 30 * MINUTE)
    cover("{[200,300)}", start + 4 * HOUR + 10 * MINUTE)
    asked = rollups("device=press-1", start, start + 8 * HOUR, resolution="1h")
    assert states(reader, asked) == [("complete", None, 8)]
    cover("{[310,400)}", start + 4 * HOUR + 20 * MINUTE)
    # Received between 4:10 and 4:20, and so of 3:10 to 4:25.
    assert states(reader, asked) == [("complete", None, 3), ("gap", "offsets_missing", 2), ("complete", None, 3)]
    (gap,) = reader.get(f"/v1/fleets/{FLEET}").body["gaps"]
    assert (gap["partition"], gap["from_offset"], gap["to_offset"]) == (3, 300, 310)
    assert gap["received_from"] == write_time(start + 4 * HOUR + 10 * MINUTE)
    cover("{[300,305)}", start + 4 * HOUR + 15 * MINUTE)
    assert states(reader, asked)[1] == ("gap", "offsets_missing", 2)
    cover("{[305,310)}", start + 4 * HOUR + 15 * MINUTE)
    assert states(reader, asked) == [("complete", None, 8)]
    assert reader.get(f"/v1/fleets/{FLEET}").body["gaps"] == []


@pytest.mark.parametrize("moment", ["now()", "'-infinity'"])
def test_records_passed_over_among_a_partitions_first_are_missing_at_any_time(
    owner: Owner, reader: Reader, moment: LiteralString
) -> None:
    owner.execute("INSERT INTO coverage (consumer, topic, partition) VALUES ('aggregate', 'raw-events', 3)")
    owner.execute("UPDATE coverage SET offsets = '{[0,3),[4,9)}', received_until = " + moment)
    (gap,) = reader.get(f"/v1/fleets/{FLEET}").body["gaps"]
    assert (gap["from_offset"], gap["to_offset"], gap["received_from"]) == (3, 4, "1970-01-01T00:00:00.000000Z")
    start = this_minute(reader) - 10 * HOUR
    assert states(reader, rollups("", start, start + 5 * MINUTE)) == [("gap", "offsets_missing", 5)]


def test_what_was_dropped_is_a_gap_and_not_an_empty_stretch(owner: Owner, reader: Reader) -> None:
    add_entity(owner, FLEET, "press-1")
    start = this_minute(reader).replace(minute=0) - 10 * HOUR
    close(owner, start + 9 * HOUR)
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'rollup_1h'", (start + 3 * HOUR,))
    first = rollups("device=press-1", start, start + 5 * HOUR, resolution="1h")
    body = reader.get(first).body
    # A page is read from one store; the next continues in the other.
    assert [one["reason"] for one in body["states"]] == ["not_kept"]
    assert body["states"][0]["to"] == write_time(start + 3 * HOUR)
    body = reader.get(f"{first}&cursor={body['next_cursor']}").body
    assert [(one["state"], one["to"]) for one in body["states"]] == [("complete", write_time(start + 5 * HOUR))]
    assert body["next_cursor"] is None


def test_the_minutes_still_open_are_computed_from_the_samples_as_roll_will(
    owner: Owner, reader: Reader, keys: dict[str, int]
) -> None:
    device = add_entity(owner, FLEET, "press-1")
    now = this_minute(reader)
    add_window(owner, "1m", device, now - 2 * MINUTE, {"cpu_temp": [1.0]}, keys)
    close(owner, now - MINUTE)
    # Of a closed minute: what came too late for its roll is marked, and returned once it is rolled.
    add_sample(owner, device, now - 2 * MINUTE + timedelta(seconds=5), {"cpu_temp": 9.0}, keys)
    for second, reading in ((1, 40.0), (11, 42.0), (59, 47.0)):
        moment = now - MINUTE + timedelta(seconds=second)
        add_sample(owner, device, moment, {"cpu_temp": reading, "humidity": reading + 1}, keys)
    body = reader.get(rollups("device=press-1", now - 2 * MINUTE, now + MINUTE, resolution="1m")).body
    closed, temperature, humidity = body["items"]
    assert (closed["count"], closed["avg"]) == (1, 1.0)
    assert (temperature["count"], temperature["avg"], temperature["p50"]) == (3, 43.0, 42.0)
    assert (temperature["min"], temperature["max"], temperature["sum"]) == (40.0, 47.0, 129.0)
    assert temperature["p95"] == pytest.approx(46.5)
    assert humidity["p50"] == 43.0
    assert [one["state"] for one in body["states"]] == ["complete", "provisional"]


@pytest.mark.parametrize(
    ("length", "resolution"),
    [(HOUR, "1m"), (DAY, "1m"), (1500 * MINUTE, "1m"), (2 * DAY, "1h"), (60 * DAY, "1h"), (90 * DAY, "1d")],
)
def test_the_finest_resolution_that_fits_a_chart_is_chosen(
    owner: Owner, reader: Reader, length: timedelta, resolution: str
) -> None:
    add_entity(owner, FLEET, "press-1")
    end = this_minute(reader).replace(minute=0)
    assert reader.get(rollups("device=press-1", end - length, end)).body["resolution"] == resolution


def test_a_resolution_whose_rows_were_moved_away_is_not_chosen(owner: Owner, reader: Reader) -> None:
    add_entity(owner, FLEET, "press-1")
    end = this_minute(reader).replace(minute=0)
    owner.execute("UPDATE horizon SET floor = %s WHERE store = 'rollup_1m'", (end - HOUR,))
    asked = {length: rollups("device=press-1", end - length, end) for length in (HOUR, 2 * HOUR)}
    assert [reader.get(one).body["resolution"] for one in asked.values()] == ["1m", "1h"]


def test_a_range_is_read_page_by_page_without_a_window_twice_while_windows_are_added(
    owner: Owner, reader: Reader, keys: dict[str, int]
) -> None:
    device = add_entity(owner, FLEET, "press-1")
    start = this_minute(reader) - 200 * MINUTE
    for number in range(0, 100, 2):
        add_window(owner, "1m", device, start + number * MINUTE, {"cpu_temp": [float(number)]}, keys)
    close(owner, start + 100 * MINUTE)
    asked = rollups("device=press-1", start, start + 100 * MINUTE, resolution="1m", limit=7)
    found: list[float] = []
    cursor = ""
    for page in range(100):
        body = reader.get(asked + cursor).body
        found += [item["avg"] for item in body["items"]]
        # Before and behind where the reader is.
        for number in (page * 4 + 1, 99 - page * 4):
            if number % 2 and 0 <= number < 100:
                owner.execute("DELETE FROM rollup_1m WHERE window_start = %s", (start + number * MINUTE,))
                add_window(owner, "1m", device, start + number * MINUTE, {"cpu_temp": [float(number)]}, keys)
        if body["next_cursor"] is None:
            break
        cursor = f"&cursor={body['next_cursor']}"
    assert found == sorted(set(found))
    assert set(found) >= {float(number) for number in range(0, 100, 2)}


def test_a_cursor_keeps_the_range_it_began_with(owner: Owner, reader: Reader, keys: dict[str, int]) -> None:
    device = add_entity(owner, FLEET, "press-1")
    minute = this_minute(reader)
    for number in range(1, 61):
        add_window(owner, "1m", device, minute - number * MINUTE, {"cpu_temp": [1.0]}, keys)
    close(owner, minute)
    # Neither from nor to: the last hour, whenever that was when the first page was asked for.
    first = reader.get(f"/v1/fleets/{FLEET}/rollups?device=press-1&limit=10").body
    reader.now += 7 * MINUTE
    second = reader.get(f"/v1/fleets/{FLEET}/rollups?device=press-1&limit=10&cursor={first['next_cursor']}").body
    assert (second["from"], second["to"], second["resolution"]) == (first["from"], first["to"], "1m")
    assert second["states"][0]["from"] == first["states"][-1]["to"]


def test_devices_are_listed_each_once_while_others_are_added(owner: Owner, reader: Reader) -> None:
    names = sorted(["a", "Ab", "b,c", "ä", "z" * 128, *(f"press-{number:03d}" for number in range(40))])
    for name in names:
        add_entity(owner, FLEET, name)
    add_entity(owner, "other", "stranger")
    add_entity(owner, FLEET, None)
    found: list[str] = []
    cursor = ""
    for page in range(30):
        body = reader.get(f"/v1/fleets/{FLEET}/devices?limit=4{cursor}").body
        found += [item["device_id"] for item in body["items"]]
        add_entity(owner, FLEET, f"new-{page}-a")
        add_entity(owner, FLEET, f"press-{page:03d}-new")
        if body["next_cursor"] is None:
            break
        cursor = f"&cursor={body['next_cursor']}"
    assert len(found) == len(set(found))
    assert set(found) >= set(names)
    assert "stranger" not in found


def test_a_device_is_listed_with_what_it_was_last_seen_as(owner: Owner, reader: Reader) -> None:
    device = add_entity(owner, FLEET, "press-1")
    for firmware, hours in (("1.8.3", 5), ("2.4.1", 1)):
        owner.execute(
            "INSERT INTO sighting VALUES (%s, 'telemetry', %s, %s, %s, %s)",
            (device, int(firmware[0]), firmware, reader.now, reader.now - hours * HOUR),
        )
    (found,) = reader.get(f"/v1/fleets/{FLEET}/devices").body["items"]
    assert (found["firmware"], found["schema_version"], found["contract"]) == ("2.4.1", 2, "telemetry")
    assert found["last_seen_at"] == write_time(reader.now - HOUR)


def test_recent_samples_are_returned_by_device_and_metric_with_how_fresh_they_are(
    owner: Owner, reader: Reader, keys: dict[str, int]
) -> None:
    first, second = add_entity(owner, FLEET, "press-1"), add_entity(owner, FLEET, "press-2")
    stranger = add_entity(owner, "other", "press-1")
    times = [reader.now - timedelta(seconds=seconds) for seconds in (400, 299.5, 20.25, 10)]
    for number, moment in enumerate(times):
        for entity in (first, second, stranger):
            readings = {"cpu_temp": 40.0 + number, "humidity": 50.0 + entity}
            add_sample(owner, entity, moment, readings if number != 2 else {"cpu_temp": 42.0}, keys)
    add_sample(owner, first, reader.now, {}, keys)
    owner.execute(
        "INSERT INTO coverage VALUES ('aggregate', 'raw-events', 0, '{[0,9)}', %s),"
        " ('aggregate', 'raw-events', 1, '{}', '-infinity')",
        (reader.now - timedelta(seconds=4.5),),
    )
    reader.functions.groups["hall"] = ("press-1", "press-2")
    body = reader.get(f"/v1/fleets/{FLEET}/recent?device=press-1&metric=cpu_temp").body
    assert body == {
        "as_of": write_time(reader.now),
        "from": write_time(reader.now - 5 * MINUTE),
        "freshness_seconds": 4.5,
        "truncated": False,
        "items": [
            {
                "device_id": "press-1",
                "metric": "cpu_temp",
                "unit": "degC",
                "points": [[write_time(moment), 40.0 + number] for number, moment in enumerate(times) if number],
            }
        ],
        "next_cursor": None,
    }
    group = reader.get(f"/v1/fleets/{FLEET}/recent?group=hall").body["items"]
    assert [(one["device_id"], one["metric"], len(one["points"])) for one in group] == [
        ("press-1", "cpu_temp", 3),
        ("press-1", "humidity", 2),
        ("press-2", "cpu_temp", 3),
        ("press-2", "humidity", 2),
    ]


@pytest.mark.usefixtures("keys")
def test_a_fleet_reports_its_state(owner: Owner, reader: Reader) -> None:
    device = add_entity(owner, FLEET, "press-1")
    add_entity(owner, FLEET, None)
    now = reader.now
    close(owner, datetime(2026, 11, 20, 9, 31, tzinfo=UTC))
    for partition, seconds in ((0, 2), (1, 40)):
        owner.execute(
            "INSERT INTO coverage VALUES ('aggregate', 'raw-events', %s, '{[0,9)}', %s), "
            "('archive', 'raw-events', %s, '{[0,9)}', %s)",
            (partition, now - timedelta(seconds=seconds), partition, now),
        )
    for outcome, fleet, hours, events in (
        ("counted", FLEET, 1, 5),
        ("counted", FLEET, 2, 6),
        ("late", FLEET, 1, 2),
        ("late", FLEET, 30, 100),
        ("duplicate", "other", 1, 100),
    ):
        owner.execute(
            "INSERT INTO outcome VALUES ('aggregate', %s, %s, 'telemetry', 1, %s, %s)",
            (fleet, now - hours * HOUR, outcome, events),
        )
    owner.execute("INSERT INTO unknown_field VALUES (%s, 'telemetry', 1, 'metrics.fan', %s, 7)", (FLEET, now))
    owner.execute("INSERT INTO sighting VALUES (%s, 'telemetry', 1, '1.8.3', %s, %s)", (device, now, now))
    body = reader.get(f"/v1/fleets/{FLEET}").body
    assert body["freshness_seconds"] == pytest.approx(2, abs=0.002)
    assert body["watermark"] < body["received_until"] < body["as_of"]
    assert body["complete_until"] == {
        "1m": "2026-11-20T09:31:00.000000Z",
        "1h": "2026-11-20T09:00:00.000000Z",
        "1d": "2026-11-20T00:00:00.000000Z",
    }
    assert (body["devices"], body["events"]) == (1, {"counted": 11, "late": 2})
    assert body["unknown_fields"] == [
        {"contract": "telemetry", "schema_version": 1, "field": "metrics.fan", "events": 7}
    ]
    (firmware,) = body["firmware_versions"]
    assert (firmware["firmware"], firmware["devices"]) == ("1.8.3", 1)
    assert {"metric": "cpu_temp", "unit": "degC"} in body["metrics"]


def test_an_empty_database_is_answered_too(reader: Reader) -> None:
    body = reader.get(f"/v1/fleets/{FLEET}").body
    assert (body["freshness_seconds"], body["watermark"], body["devices"]) == (None, None, 0)
    assert body["complete_until"] == {"1m": None, "1h": None, "1d": None}
    body = reader.get(f"/v1/fleets/{FLEET}/rollups").body
    assert (body["items"], body["complete_until"]) == ([], None)
    assert reader.get(f"/v1/fleets/{FLEET}/devices").body == {"items": [], "next_cursor": None}
    assert reader.get("/v1/fleets").body == {"items": [{"fleet_id": FLEET}], "next_cursor": None}
    assert reader.get("/health", key=None).body == {"status": "ok"}


NAMES = [
    "'; DROP TABLE sample; --",
    '"}] OR 1=1',
    "$1",
    "%s",
    "{press}",
    "a,b",
    "a\\",
    "../../x",
    "<script>",
    "ü☃",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_names_with_any_text_in_them(owner: Owner, reader: Reader, keys: dict[str, int], name: str) -> None:
    device = add_entity(owner, FLEET, name)
    add_sample(owner, device, reader.now, {"cpu_temp": 1.0}, keys)
    asked = f"/v1/fleets/{FLEET}/recent?device={quote(name, safe='')}"
    (item,) = reader.get(asked).body["items"]
    assert item["device_id"] == name
    assert reader.get(f"{asked}&metric={quote(name, safe='')}").body["items"] == []
    assert reader.get(f"/v1/fleets/{FLEET}/recent?device=x{quote(name, safe='')}").body["code"] == "device_unknown"
    # A group of a name that no directory may give is not even asked for.
    found = reader.get(f"/v1/fleets/{FLEET}/recent?group={quote(name, safe='')}")
    assert (found.status, found.body["code"]) == (404, "group_unknown")
    assert reader.functions.asked == []
    assert reader.get(f"/v1/fleets/{FLEET}/devices").body["items"][0]["device_id"] == name
    assert json.dumps(name)
