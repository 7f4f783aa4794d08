"""Publishing the keys that a real database holds."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Json

from local.seed import insert_key
from sluice.core.api.keys import KEYS, PublishedKey
from sluice.core.detect.series_rules import RULES, SeriesRule
from sluice.core.errors import Retryable
from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.core.published import Document, read_document, replaces
from sluice.edge.control import sources
from sluice.edge.control.publishing import LostRowsError, Publisher
from sluice.edge.control.sources import ENDED
from sluice.edge.database import Database
from sluice.edge.published import name_in_bucket
from tests.support.played_bucket import PlayedBucket

if TYPE_CHECKING:
    from sluice.edge.bucket import Bucket
    from sluice.edge.published import SharedCopy

NAME = name_in_bucket(KEYS)


class PlayedCopy:
    """The copy in Valkey."""

    def __init__(self) -> None:
        self.held = (0, b"")
        self.away = False

    def put(self, version: int, document: bytes) -> int:
        if self.away:
            raise Retryable("Valkey does not answer")
        self.held = max(self.held, (version, document))
        return self.held[0]


class Place:
    """A database with a fleet, and where its keys are published."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.bucket = PlayedBucket()
        self.copies = {kind: PlayedCopy() for kind in (KEYS, RULES, DESTINATIONS)}
        self.copy = self.copies[KEYS]
        self.owner = psycopg.connect(dsn, autocommit=True)
        self.owner.execute("INSERT INTO fleet (fleet_id) VALUES ('f')")
        self.database = Database(partial(psycopg.connect, dsn, user="sluice_publish", autocommit=True), 5)
        self.publisher = self.make_publisher(self.bucket)

    def make_publisher(self, bucket: PlayedBucket) -> Publisher:
        return Publisher(self.database, cast("Bucket", bucket), lambda kind: cast("SharedCopy", self.copies[kind]))

    def publish(self, kind: str = KEYS) -> int:
        return self.publisher.publish(kind, datetime.now(UTC))

    def insert(self) -> str:
        return insert_key(self.owner, "test", "f", "device").split("_")[2]

    @property
    def published(self) -> Document[PublishedKey]:
        return read_document(self.bucket.held[NAME][0], KEYS, PublishedKey)

    def keys(self) -> list[str]:
        return [key.key_id for key in self.published.items]


@pytest.fixture
def place(database: str) -> Iterator[Place]:
    place = Place(database)
    yield place
    place.database.close()
    place.owner.close()


def test_each_change_has_a_higher_version_in_both_places_and_no_change_has_none(place: Place) -> None:
    first = place.insert()
    versions = [place.publish(), place.publish()]
    assert versions[0] == versions[1]
    assert place.keys() == [first]
    place.owner.execute("UPDATE fleet SET events_per_second = 7")
    versions.append(place.publish())
    assert versions[2] > versions[1]
    assert [key.events_per_second for key in place.published.items] == [7]
    assert place.copy.held == (versions[2], place.bucket.held[NAME][0])


@pytest.mark.parametrize("lost", ["Valkey", "S3", "damaged"])
def test_what_a_store_has_lost_is_published_again_with_a_version_that_does_not_fall(place: Place, lost: str) -> None:
    key = place.insert()
    before = place.publish()
    match lost:
        case "Valkey":
            place.copy.held = (0, b"")
        case "S3":
            place.bucket.held.clear()
        case _:
            place.bucket.put(NAME, b"{")
    assert place.publish() >= before
    assert place.keys() == [key]
    assert place.copy.held[1] == place.bucket.held[NAME][0]


def test_a_store_that_does_not_answer_is_reported(place: Place) -> None:
    place.insert()
    place.bucket.away = True
    with pytest.raises(Retryable):
        place.publish()
    place.bucket.away, place.copy.away = False, True
    with pytest.raises(Retryable):
        place.publish()
    place.copy.away = False
    assert place.publish() == place.copy.held[0]


def test_a_slower_publisher_does_not_undo_what_another_one_published(place: Place) -> None:
    """It has read the database and not yet written when a key is revoked and published."""
    key = place.insert()
    place.publish()
    other = place.make_publisher(place.bucket)
    slow = Slow(place.bucket)
    late = place.make_publisher(slow)
    place.owner.execute("UPDATE fleet SET events_per_second = 7")

    def meanwhile() -> None:
        place.owner.execute("UPDATE api_key SET revoked_at = now()")
        other.publish(KEYS, datetime.now(UTC))

    slow.before_the_write = meanwhile
    version = late.publish(KEYS, datetime.now(UTC))
    (found,) = place.published.items
    assert (found.key_id, found.revoked_at is None, found.events_per_second) == (key, False, 7)
    assert place.published.version == place.copy.held[0] == version


class Slow(PlayedBucket):
    """The same bucket, through which something happens before the first write."""

    def __init__(self, bucket: PlayedBucket) -> None:
        super().__init__()
        self.held = bucket.held
        self.put = bucket.put  # type: ignore[method-assign]  # the other's ETags
        self.before_the_write: Callable[[], Any] | None = None

    def replace(self, name: str, data: bytes, etag: str | None) -> bool:
        if self.before_the_write is not None:
            act, self.before_the_write = self.before_the_write, None
            act()
        return super().replace(name, data, etag)


def test_a_key_that_ended_long_ago_is_left_out(place: Place) -> None:
    ended, revoked, recent, open_ = (place.insert() for _ in range(4))
    for column, key, age in (
        ("expires_at", ended, ENDED),
        ("revoked_at", revoked, ENDED),
        ("revoked_at", recent, ENDED - timedelta(hours=1)),
    ):
        place.owner.execute(f"UPDATE api_key SET {column} = %s WHERE key_id = %s", (datetime.now(UTC) - age, key))
    place.publish()
    assert place.keys() == sorted([recent, open_])


def test_a_database_that_lost_keys_does_not_lock_their_devices_out(place: Place) -> None:
    before = sorted([place.insert(), place.insert()])
    place.publish()
    place.owner.execute("DELETE FROM api_key")
    for _ in range(2):
        with pytest.raises(LostRowsError, match="lacks 2 published keys"):
            place.publish()
        assert place.keys() == before
        # One key more does not make up for the others.
        place.insert()


@pytest.mark.parametrize(
    "ended", ["revoked_at = now()", "expires_at = now()", "expires_at = now() + interval '7 days'"]
)
def test_a_database_that_lost_the_end_of_a_key_does_not_let_it_work_again(place: Place, ended: LiteralString) -> None:
    """As after a restore: an admin has to revoke the key again."""
    key, other = place.insert(), place.insert()
    change = sql.SQL("UPDATE api_key SET {} WHERE key_id = {}")
    place.owner.execute(change.format(sql.SQL(ended), sql.Literal(key)))
    place.publish()
    (before,) = (each for each in place.published.items if each.key_id == key)
    place.owner.execute("UPDATE api_key SET revoked_at = NULL, expires_at = NULL")
    with pytest.raises(LostRowsError, match=f"lacks 1 published keys, such as f/{key} .it would work"):
        place.publish()
    assert before in place.published.items
    place.owner.execute("UPDATE api_key SET revoked_at = now() WHERE key_id = %s", (key,))
    place.publish()
    assert {each.key_id: each.revoked_at is not None for each in place.published.items} == {key: True, other: False}


def test_what_a_restored_database_lacks_is_listed_and_nothing_is_published(place: Place) -> None:
    gone, ended = place.insert(), place.insert()
    add_rule(place, "hot")
    place.owner.execute("UPDATE api_key SET revoked_at = now() WHERE key_id = %s", (ended,))
    now = datetime.now(UTC)
    assert place.publisher.find_lost(now) == {KEYS: [], RULES: [], DESTINATIONS: []}
    place.publisher.publish_all(now)
    assert place.publisher.find_lost(now) == {KEYS: [], RULES: [], DESTINATIONS: []}
    before = dict(place.bucket.held)
    place.owner.execute("DELETE FROM api_key WHERE key_id = %s", (gone,))
    place.owner.execute("UPDATE api_key SET revoked_at = NULL")
    place.owner.execute("DELETE FROM rule")
    lost = place.publisher.find_lost(datetime.now(UTC))
    assert sorted(lost.pop(KEYS)) == sorted([f"f/{gone} (it has no row)", f"f/{ended} (it would work again)"])
    assert lost == {RULES: ["f/hot"], DESTINATIONS: []}
    assert place.bucket.held == before


def test_after_the_object_was_deleted_a_database_that_was_restored_on_purpose_is_published(place: Place) -> None:
    place.insert()
    version = place.publish()
    place.owner.execute("DELETE FROM api_key")
    key = place.insert()
    place.bucket.held.clear()
    assert place.publish() > version
    assert place.keys() == [key]


def test_keys_that_have_all_ended_long_ago_leave_the_last_document(place: Place) -> None:
    place.insert()
    place.owner.execute("UPDATE api_key SET expires_at = now() + interval '1 second'")
    version = place.publish()
    later = datetime.now(UTC) + ENDED + timedelta(days=1)
    assert place.publisher.publish(KEYS, later) == version


def test_a_copy_that_is_ahead_of_the_object_is_overtaken(place: Place) -> None:
    """The clock of a publisher jumped, and then the object was lost: what comes next must not hide behind it."""
    place.insert()
    place.publish()
    ahead = place.copy.held[0] + 10**9
    place.copy.held = (ahead, b"older")
    place.owner.execute("UPDATE api_key SET revoked_at = now()")
    assert place.publish() > ahead
    assert place.copy.held == (place.published.version, place.bucket.held[NAME][0])


def test_a_document_has_a_limited_number_of_keys_and_those_that_work_come_first(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_KEYS", 3)
    ended = [place.insert() for _ in range(3)]
    for days, key in enumerate(ended):
        place.owner.execute(
            "UPDATE api_key SET revoked_at = %s WHERE key_id = %s", (datetime.now(UTC) - timedelta(days=days), key)
        )
    works = [place.insert() for _ in range(2)]
    place.publish()
    assert place.keys() == sorted([*works, ended[0]])


def test_a_row_that_cannot_be_read_leaves_what_is_published(place: Place) -> None:
    key = place.insert()
    place.publish()
    place.insert()
    place.owner.execute("UPDATE api_key SET expires_at = 'infinity' WHERE key_id <> %s", (key,))
    with pytest.raises(Retryable, match="cannot be read"):
        place.publish()
    assert place.keys() == [key]


def test_a_stage_without_keys_publishes_that(place: Place) -> None:
    place.publish()
    assert place.keys() == []


def add_rule(place: Place, rule_id: str, **changed: Any) -> None:
    row = {"kind": "above", "metric": "cpu_temp", "open": 80, "clear": 75, "breaches": 2, "of": 3} | changed
    row |= {"rule_id": rule_id, "fleet_id": "f", "severity": "warning", "created_at": datetime.now(UTC)}
    place.owner.execute(
        "INSERT INTO rule SELECT * FROM json_populate_record(NULL::rule, %s)",
        [Json(row | {"version": 1}, dumps=partial(json.dumps, default=str))],
    )


def add_destination(place: Place, destination_id: str, fleet_id: str | None = None) -> None:
    place.owner.execute(
        "INSERT INTO destination (destination_id, fleet_id, kind, secret, least_severity, after_minutes, created_at)"
        " VALUES (%s, %s, 'slack', 'sluice-test-destinations/a', 'warning', 5, now())",
        (destination_id, fleet_id),
    )


def rules(place: Place) -> tuple[SeriesRule, ...]:
    return read_document(place.bucket.held[name_in_bucket(RULES)][0], RULES, SeriesRule).items


def destinations(place: Place) -> list[str]:
    data, _ = place.bucket.held[name_in_bucket(DESTINATIONS)]
    return [each.destination_id for each in read_document(data, DESTINATIONS, Destination).items]


def test_each_kind_has_a_document_of_its_own_from_the_first_run_on(place: Place) -> None:
    place.insert()
    versions = place.publisher.publish_all(datetime.now(UTC))
    assert set(versions) == set(place.copies) == {KEYS, RULES, DESTINATIONS}
    assert (rules(place), destinations(place)) == ((), [])
    assert {kind: copy.held[0] for kind, copy in place.copies.items()} == versions
    assert place.publisher.publish_all(datetime.now(UTC)) == versions


def test_a_rule_is_published_with_the_type_of_its_fleets_devices(place: Place) -> None:
    place.owner.execute("UPDATE fleet SET device_type = 'press'")
    add_rule(place, "hot", device_id="p-1")
    version = place.publish(RULES)
    (rule,) = rules(place)
    assert rule == SeriesRule(
        fleet_id="f",
        rule_id="hot",
        version=1,
        metric="cpu_temp",
        device_id="p-1",
        kind="above",
        open=80.0,
        clear=75.0,
        breaches=2,
        of=3,
        fleet_type="press",
    )
    place.owner.execute("UPDATE fleet SET device_type = NULL")
    assert place.publish(RULES) > version
    assert rules(place)[0].fleet_type is None


@pytest.mark.parametrize(
    "ended", ["UPDATE rule SET archived_at = now(), version = 2", "UPDATE fleet SET archived_at = now()"]
)
def test_the_last_rule_that_ends_leaves_an_empty_document_that_replaces_the_one_before(
    place: Place, ended: str
) -> None:
    add_rule(place, "hot")
    before = place.publish(RULES)
    held = read_document(place.bucket.held[name_in_bucket(RULES)][0], RULES, SeriesRule)
    place.owner.execute(ended)
    assert place.publish(RULES) > before
    new = read_document(place.bucket.held[name_in_bucket(RULES)][0], RULES, SeriesRule)
    assert (new.items, replaces(new, held)) == ((), True)


def test_destinations_of_archived_fleets_and_archived_ones_are_not_published(place: Place) -> None:
    for name, fleet in (("all", None), ("own", "f"), ("old", None)):
        add_destination(place, name, fleet)
    place.owner.execute("UPDATE destination SET archived_at = now() WHERE destination_id = 'old'")
    place.publish(DESTINATIONS)
    assert destinations(place) == ["all", "own"]
    place.owner.execute("UPDATE fleet SET archived_at = now()")
    place.publish(DESTINATIONS)
    assert destinations(place) == ["all"]


@pytest.mark.parametrize("loss", ["DELETE FROM {}", "UPDATE {} SET version = 1"])
def test_a_database_that_lost_rules_or_destinations_does_not_end_alarms(place: Place, loss: LiteralString) -> None:
    add_rule(place, "hot")
    add_destination(place, "on-call")
    place.owner.execute("UPDATE rule SET version = 2")
    place.owner.execute("UPDATE destination SET version = 2")
    place.publisher.publish_all(datetime.now(UTC))
    for table in ("rule", "destination"):
        place.owner.execute(sql.SQL(loss).format(sql.Identifier(table)))
    key = place.insert()
    with pytest.raises(LostRowsError, match="lacks 1 published rules, such as f/hot"):
        place.publisher.publish_all(datetime.now(UTC))
    # The other kinds are not kept back, and what was published stays.
    assert place.keys() == [key]
    assert ([rule.rule_id for rule in rules(place)], destinations(place)) == (["hot"], ["on-call"])
    with pytest.raises(LostRowsError, match="lacks 1 published destinations, such as on-call"):
        place.publish(DESTINATIONS)


def test_a_store_that_does_not_answer_ends_the_run(place: Place) -> None:
    place.bucket.away = True
    with pytest.raises(Retryable, match="S3 does not answer"):
        place.publisher.publish_all(datetime.now(UTC))
    assert place.bucket.asked == 1
