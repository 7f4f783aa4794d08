"""The admins' routes on a real database: each change with its audit entry, or neither."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import psycopg
import pytest

from sluice.core.api.keys import parse_key
from sluice.core.control.audit import Entry
from sluice.core.control.verification import Checkpoint, verify
from sluice.core.failures.quarantine import KEEP
from sluice.core.query.cursors import write_cursor
from sluice.core.times import write_time
from sluice.edge.control.answering import After
from sluice.edge.database import Database, DatabaseAwayError
from sluice.edge.failures.quarantine import SharedAllowance
from tests.database.administering import FLEETS, NOW, SOMEONE, Admin, Owner, acts, entries, make_fleet, make_key


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def admin(database: str) -> Iterator[Admin]:
    admin = Admin(database)
    yield admin
    admin.database.close()


def test_a_fleet_is_made_changed_and_archived_with_an_entry_for_each(admin: Admin, owner: Owner) -> None:
    made = make_fleet(admin, events_per_second=20)
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert (made.body["events_per_second"], made.body["home_region"], made.body["state"]) == (20, "us-east-1", "active")
    changed = admin("PATCH", f"{FLEETS}/f", {"rejects_per_second": 5}, if_match='"1"')
    assert (changed.status, changed.headers["etag"], changed.body["rejects_per_second"]) == (200, '"2"', 5)
    key = make_key(admin).body["key_id"]
    archived = admin("POST", f"{FLEETS}/f/archive", {"reason": "sold"}, if_match='"2"')
    assert (archived.status, archived.body["state"], archived.body["revoked_keys"]) == (200, "archived", [key])
    assert admin("GET", f"{FLEETS}/f").body == {
        name: value for name, value in archived.body.items() if name != "revoked_keys"
    }
    assert admin("GET", f"{FLEETS}/f/keys/{key}").body["state"] == "revoked"
    assert make_key(admin).body["code"] == "fleet_archived"
    assert acts(owner) == [
        ("fleet.create", "fleet/f"),
        ("fleet.change", "fleet/f"),
        ("key.create", f"key/{key}"),
        ("fleet.archive", "fleet/f"),
        ("key.revoke", f"key/{key}"),
    ]
    last = json.loads(entries(owner)[-2].text)
    assert (last["reason"], last["principal"], last["correlation_id"]) == ("sold", SOMEONE, "r-1")
    assert last["changes"]["state"] == {"before": "active", "after": "archived"}
    assert verify(entries(owner), []) == 5


def test_a_key_is_shown_once_and_opens_the_edge(admin: Admin, owner: Owner) -> None:
    make_fleet(admin)
    first = make_key(admin, idempotency_key="once")
    again = make_key(admin, idempotency_key="once")
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body | {"key": None, "key_shown": again.body["key_shown"]}
    assert len(acts(owner)) == 2
    presented = parse_key(first.body["key"], "test")
    stored = admin.keys[presented.key_id]
    assert (stored.fleet_id, stored.secret_hash) == ("f", presented.secret_hash)
    # No copy of it anywhere: not in the audit, not among the kept answers, not in a later answer.
    everything = [
        owner.execute("SELECT json_agg(each)::text FROM (SELECT * FROM api_key) AS each").fetchone(),
        owner.execute("SELECT json_agg(each)::text FROM (SELECT * FROM audit) AS each").fetchone(),
        owner.execute("SELECT json_agg(each)::text FROM (SELECT * FROM answered) AS each").fetchone(),
        admin("GET", f"{FLEETS}/f/keys").body,
    ]
    assert first.body["key"][26:] not in str(everything)


def test_a_change_is_published_before_it_is_answered(admin: Admin) -> None:
    make_fleet(admin)
    key = make_key(admin).body["key_id"]
    admin("PATCH", f"{FLEETS}/f", {"events_per_second": 7}, if_match='"1"')
    assert admin.keys[key].events_per_second == 7
    admin("POST", f"{FLEETS}/f/keys/{key}/revoke", {"reason": "lost"})
    assert admin.keys[key].revoked_at == NOW


def test_a_change_that_cannot_be_published_is_stored_and_its_repetition_publishes_it(admin: Admin) -> None:
    make_fleet(admin)
    key = make_key(admin).body["key_id"]
    admin.unpublished = True
    revoke = partial(admin, "POST", f"{FLEETS}/f/keys/{key}/revoke", {"reason": "lost"}, idempotency_key="k")
    got = revoke()
    assert (got.status, got.body["code"], "retry-after" in got.headers) == (503, "not_published", True)
    assert admin("GET", f"{FLEETS}/f/keys/{key}").body["state"] == "revoked"
    admin.unpublished = False
    assert revoke().body["state"] == "revoked"
    assert admin.keys[key].revoked_at == NOW


def test_a_new_key_is_shown_even_if_it_cannot_be_published(admin: Admin) -> None:
    make_fleet(admin)
    admin.unpublished = True
    got = make_key(admin, idempotency_key="k")
    assert (got.status, got.body["published"], got.body["key"] is None) == (201, False, False)
    assert make_key(admin, idempotency_key="k").body["code"] == "not_published"
    admin.unpublished = False
    again = make_key(admin, idempotency_key="k")
    assert (again.status, "published" in again.body, again.body["key_id"]) == (201, False, got.body["key_id"])


def test_a_rotated_key_works_until_the_overlap_ends(admin: Admin, owner: Owner) -> None:
    make_fleet(admin)
    old = make_key(admin).body["key_id"]
    rotated = admin("POST", f"{FLEETS}/f/keys/{old}/rotate")
    assert rotated.status == 201
    assert rotated.body["replaces"] | {} == admin("GET", f"{FLEETS}/f/keys/{old}").body
    assert rotated.body["replaces"]["state"] == "rotated"
    assert rotated.body["key"].startswith("slc_test_")
    assert admin("POST", f"{FLEETS}/f/keys/{old}/rotate").body["code"] == "key_rotated"
    admin.now += timedelta(days=7)
    assert admin("GET", f"{FLEETS}/f/keys/{old}").body["state"] == "expired"
    assert admin("GET", f"{FLEETS}/f/keys/{rotated.body['key_id']}").body["state"] == "active"
    assert [action for action, _ in acts(owner)] == ["fleet.create", "key.create", "key.create", "key.rotate"]


def test_a_lost_update_is_refused_with_the_current_state(admin: Admin) -> None:
    current = make_fleet(admin).body
    assert admin("PATCH", f"{FLEETS}/f", {"events_per_second": 1}).status == 428
    admin("PATCH", f"{FLEETS}/f", {"events_per_second": 2}, if_match='"1"')
    stale = admin("PATCH", f"{FLEETS}/f", {"events_per_second": 3}, if_match='"1"')
    assert (stale.status, stale.body["code"]) == (412, "version_changed")
    assert stale.body["current"] == current | {"events_per_second": 2, "version": 2}


def test_a_fleet_without_a_home_gets_one_only_from_an_admin(admin: Admin, owner: Owner) -> None:
    owner.execute("INSERT INTO fleet (fleet_id) VALUES ('old')")
    assert admin("PATCH", f"{FLEETS}/old", {}, if_match='"1"').headers["etag"] == '"1"'
    assert acts(owner) == []
    changed = admin("PATCH", f"{FLEETS}/old", {"events_per_second": 5}, if_match='"1"')
    assert (changed.body["home_region"], changed.body["version"]) == (None, 2)
    named = admin("PATCH", f"{FLEETS}/old", {"home_region": "us-east-1"}, if_match='"2"')
    assert named.body["home_region"] == "us-east-1"
    assert json.loads(entries(owner)[-1].text)["changes"]["home_region"] == {"before": None, "after": "us-east-1"}


def test_a_fleet_has_a_class_of_retention_and_a_type_of_its_devices(admin: Admin, owner: Owner) -> None:
    made = make_fleet(admin, retention_days=365, device_type="press")
    assert (made.body["retention_days"], made.body["device_type"]) == (365, "press")
    changed = admin("PATCH", f"{FLEETS}/f", {"retention_days": 30, "device_type": None}, if_match='"1"')
    assert (changed.body["retention_days"], changed.body["device_type"]) == (30, None)
    assert admin("GET", f"{FLEETS}/f").body == changed.body
    assert json.loads(entries(owner)[-1].text)["changes"]["device_type"] == {"before": "press", "after": None}
    for odd in ({"retention_days": 45}, {"retention_days": "90"}, {"device_type": "A b"}):
        assert admin("PATCH", f"{FLEETS}/f", odd, if_match='"2"').body["code"] == "invalid_body"


def test_a_dry_run_says_what_would_change_and_changes_nothing(admin: Admin, owner: Owner) -> None:
    make_fleet(admin)
    key = make_key(admin).body["key_id"]
    asked = [
        admin("POST", f"{FLEETS}?dry_run=true", {"fleet_id": "g"}),
        admin("PATCH", f"{FLEETS}/f?dry_run=true", {"events_per_second": 9}, if_match='"1"'),
        admin("POST", f"{FLEETS}/f/archive?dry_run=true", {"reason": "r"}, if_match='"1"'),
        admin("POST", f"{FLEETS}/f/keys?dry_run=true", {"role": "reader"}),
        admin("POST", f"{FLEETS}/f/keys/{key}/rotate?dry_run=true"),
        admin("POST", f"{FLEETS}/f/keys/{key}/revoke?dry_run=true", {"reason": "r"}, idempotency_key="d"),
    ]
    assert {(got.status, got.body["dry_run"]) for got in asked} == {(200, True)}
    assert asked[1].body["would"][0]["changes"]["events_per_second"] == {"before": 1000, "after": 9}
    assert "slc_" not in str([got.body for got in asked])
    assert len(acts(owner)) == 2
    # Nothing was kept for its idempotency key: the same request may be made for real.
    assert admin("POST", f"{FLEETS}/f/keys/{key}/revoke", {"reason": "r"}, idempotency_key="d").status == 200


def test_an_idempotency_key_stands_for_one_request(admin: Admin) -> None:
    assert admin("POST", FLEETS, {"fleet_id": "f"}, idempotency_key="k").status == 201
    assert admin("POST", FLEETS, {"fleet_id": "f"}, idempotency_key="k").status == 201
    assert admin("POST", FLEETS, {"fleet_id": "f"}).body["code"] == "fleet_exists"
    other = admin("POST", FLEETS, {"fleet_id": "g"}, idempotency_key="k")
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    # It is a principal's own.
    assert admin("POST", FLEETS, {"fleet_id": "g"}, "arn:aws:iam::1:user/other", idempotency_key="k").status == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", f"{FLEETS}/none", None, {}, 404, "unknown_fleet"),
        ("GET", f"{FLEETS}/f/keys/none", None, {}, 404, "unknown_key"),
        ("GET", f"{FLEETS}/none/keys", None, {}, 404, "unknown_fleet"),
        ("GET", f"{FLEETS}?limit=0", None, {}, 400, "invalid_parameter"),
        ("GET", f"{FLEETS}?cursor=x", None, {}, 400, "invalid_cursor"),
        ("GET", f"{FLEETS}?nonsense=1", None, {}, 400, "unknown_parameter"),
        ("POST", FLEETS, {"fleet_id": "g", "unknown": 1}, {}, 400, "invalid_body"),
        ("POST", FLEETS, {"fleet_id": "g" * 70_000}, {}, 413, "body_too_large"),
        ("POST", FLEETS, {"fleet_id": "g"}, {"idempotency_key": "a b"}, 400, "invalid_header"),
        ("POST", f"{FLEETS}?dry_run=maybe", {"fleet_id": "g"}, {}, 400, "invalid_parameter"),
        ("PATCH", f"{FLEETS}/f", {}, {"if_match": "1"}, 400, "invalid_header"),
        ("POST", f"{FLEETS}/f/archive", {}, {"if_match": '"1"'}, 400, "reason_required"),
        ("POST", f"{FLEETS}/f/archive", {"reason": "x" * 501}, {"if_match": '"1"'}, 400, "reason_required"),
        ("POST", f"{FLEETS}/f/keys", {"role": "admin"}, {}, 400, "invalid_body"),
        ("POST", f"{FLEETS}/none/keys", {"role": "device"}, {}, 404, "unknown_fleet"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(
    admin: Admin, owner: Owner, method: str, path: str, body: object, headers: dict[str, str], status: int, code: str
) -> None:
    make_fleet(admin)
    got = admin(method, path, body, **headers)
    assert (got.status, got.body["code"]) == (status, code)
    assert got.headers["content-type"] == "application/problem+json"
    assert len(acts(owner)) == 1


@pytest.mark.parametrize(
    ("path", "code"), [(f"{FLEETS}/a\0b", "unknown_fleet"), (f"{FLEETS}/f/keys/\0", "unknown_key")]
)
def test_an_id_that_the_database_cannot_hold_is_unknown(admin: Admin, path: str, code: str) -> None:
    make_fleet(admin)
    got = admin("GET", path)
    assert (got.status, got.body["code"]) == (404, code)


def test_a_cursor_that_no_list_wrote_is_refused(admin: Admin) -> None:
    got = admin("GET", f"{FLEETS}?cursor={write_cursor('GET ' + FLEETS, After(chr(0)))}")
    assert (got.status, got.body["code"]) == (400, "invalid_cursor")


def test_a_request_without_a_verified_signature_is_refused(admin: Admin) -> None:
    assert admin("GET", FLEETS, principal=None).body["code"] == "not_signed"


def test_lists_are_read_page_by_page(admin: Admin) -> None:
    names = [f"f{number}" for number in range(5)]
    for name in names:
        make_fleet(admin, name)
    seen, cursor = [], ""
    while cursor is not None:
        page = admin("GET", f"{FLEETS}?limit=2{cursor and '&cursor=' + cursor}").body
        seen += [each["fleet_id"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert seen == names
    audit = admin("GET", "/v1/admin/audit?limit=3").body
    rest = admin("GET", f"/v1/admin/audit?cursor={audit['next_cursor']}").body
    listed = [Entry(each["number"], each["entry"].encode(), each["hash"]) for each in audit["items"] + rest["items"]]
    assert verify(listed, [Checkpoint(5, listed[-1].hash)]) == 5
    assert rest["next_cursor"] is None
    newest = admin("GET", "/v1/admin/audit?limit=3&order=newest").body
    older = admin("GET", f"/v1/admin/audit?order=newest&cursor={newest['next_cursor']}").body
    assert [each["number"] for each in newest["items"] + older["items"]] == [5, 4, 3, 2, 1]
    assert admin("GET", f"/v1/admin/audit?cursor={newest['next_cursor']}").body["code"] == "invalid_cursor"


def test_changes_at_the_same_time_leave_one_chain(database: str, owner: Owner) -> None:
    def change(number: int) -> None:
        admin = Admin(database)
        for fleet in range(5):
            assert make_fleet(admin, f"f{number}-{fleet}").status == 201
        admin.database.close()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(entries(owner), []) == 20


@pytest.mark.parametrize("statement", range(1, 10))
def test_a_process_that_dies_between_statements_leaves_both_or_neither(
    admin: Admin, owner: Owner, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    make_fleet(admin)
    before = len(entries(owner))
    left = count(1)
    execute = psycopg.Connection.execute

    def dying(self: Any, *arguments: Any, **options: Any) -> Any:
        if self.info.user == "sluice_admin" and next(left) == statement:
            # As the server sees it when the process dies: the connection ends without a commit.
            self.close()
        return execute(self, *arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", dying)
    got = make_key(admin, idempotency_key="k")
    monkeypatch.undo()
    keys = owner.execute("SELECT count(*) FROM api_key").fetchone()
    kept = owner.execute("SELECT count(*) FROM answered").fetchone()
    made = 1 if got.status == 201 else 0
    assert got.status in (201, 503)
    assert (keys, kept, len(entries(owner)) - before) == ((made,), (made,), made)
    # The retry has its effect once.
    assert make_key(admin, idempotency_key="k").status == 201
    assert owner.execute("SELECT count(*) FROM api_key").fetchone() == (1,)


def test_a_change_that_stands_still_does_not_keep_the_others_waiting(
    admin: Admin, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.edge.control.store._IDLE", "50ms")
    frozen = Admin(database)

    def freeze() -> None:
        with frozen.administration.store.changing() as changes:
            monkeypatch.undo()
            # The server ends the frozen transaction, so this change gets the lock.
            assert make_fleet(admin).status == 201
            changes.fleet("f")

    with pytest.raises(DatabaseAwayError):
        freeze()


def test_archiving_asks_the_database_the_same_whatever_the_number_of_keys(
    admin: Admin, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    execute = psycopg.Connection.execute

    def noting(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(self.info.user)
        return execute(self, query, *arguments, **options)

    numbers = []
    for fleet, keys in (("one", 1), ("many", 30)):
        make_fleet(admin, fleet)
        for _ in range(keys):
            assert admin("POST", f"{FLEETS}/{fleet}/keys", {"role": "device"}).status == 201
        with monkeypatch.context() as patched:
            patched.setattr(psycopg.Connection, "execute", noting)
            archived = admin("POST", f"{FLEETS}/{fleet}/archive", {"reason": "sold"}, if_match='"1"')
        assert (archived.status, len(archived.body["revoked_keys"])) == (200, keys)
        states = {each["state"] for each in admin("GET", f"{FLEETS}/{fleet}/keys").body["items"]}
        assert states == {"revoked"}
        numbers.append(asked.count("sluice_admin"))
        asked.clear()
    assert numbers[0] == numbers[1]
    assert len(acts(owner)) == verify(entries(owner), []) == 2 * (1 + 1) + 2 * (1 + 30)


def test_no_one_but_the_owner_alters_an_entry(admin: Admin, database: str) -> None:
    make_fleet(admin)
    with psycopg.connect(database, user="sluice_admin", autocommit=True) as connection:
        for statement in ("UPDATE audit SET hash = hash", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_more_letters_for_a_halted_consumer_are_audited_and_granted(admin: Admin) -> None:
    extra, halted = "/v1/admin/consumers/archive/allow", SharedAllowance(admin.cache.as_cache(), "archive", 1).extra
    assert not halted.covers(300)
    got = admin("POST", extra, {"letters": 300, "reason": "a truncated firmware image"})
    assert got.status == 200
    assert got.body == {"consumer": "archive", "letters": 300, "until": write_time(NOW + KEEP)}
    assert halted.covers(300)
    assert not halted.covers(301)
    (entry,) = [json.loads(item["entry"]) for item in admin("GET", "/v1/admin/audit").body["items"]]
    assert (entry["action"], entry["target"]) == ("consumer.allow", "consumer/archive")
    assert entry["reason"] == "a truncated firmware image"


@pytest.mark.parametrize(
    ("consumer", "body", "status", "code"),
    [
        ("archive", {"letters": 1}, 400, "reason_required"),
        ("archive", {"letters": 0, "reason": "why"}, 400, "invalid_body"),
        ("archive", {"letters": 10_001, "reason": "why"}, 400, "invalid_body"),
        ("archive", {"letters": "many", "reason": "why"}, 400, "invalid_body"),
        ("deadletter", {"letters": 1, "reason": "why"}, 404, "unknown_consumer"),
    ],
)
def test_more_letters_are_refused_without_a_trace(
    admin: Admin, consumer: str, body: object, status: int, code: str
) -> None:
    got = admin("POST", f"/v1/admin/consumers/{consumer}/allow", body)
    assert (got.status, got.body["code"]) == (status, code)
    assert admin("GET", "/v1/admin/audit").body["items"] == []
    assert admin.cache.values == {}


def test_more_letters_need_valkey(admin: Admin) -> None:
    admin.cache.away = True
    got = admin("POST", "/v1/admin/consumers/archive/allow", {"letters": 1, "reason": "why"})
    assert (got.status, got.body["code"]) == (503, "not_allowed")


def test_a_database_that_is_away_is_a_503(database: str) -> None:
    admin = Admin(database)
    admin.database = Database(partial(psycopg.connect, database, port="1"), 1)
    admin.administration = admin.administer(admin.database)
    got = admin("GET", FLEETS)
    assert (got.status, got.body["code"]) == (503, "control_unavailable")
    assert "retry-after" in got.headers


def test_a_connection_that_the_server_ended_while_idle_is_no_failure(admin: Admin, owner: Owner) -> None:
    for _ in range(2):
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sluice_admin'")
        assert admin("GET", FLEETS).status == 200
    owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sluice_admin'")
    assert make_fleet(admin).status == 201
