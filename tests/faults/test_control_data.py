"""Keys and quotas while the stores that know them are away, and after they change."""

import contextlib
import secrets
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from redis.cluster import RedisCluster

from local.admin import Admin
from local.overrides import WORKERS_PER_FUNCTION
from sluice.core.api.keys import compose_key
from sluice.edge.published import MOST_LOOKS
from tests.faults.conftest import Injector, wait_until
from tests.flow.conftest import Stack, create_fleet
from tests.flow.http import post
from tests.support import samples
from tests.support.cache import open_cache

EVENT = samples.read_bytes("telemetry-v1.json")


def status_with(stack: Stack, key: str) -> tuple[int, str | None]:
    """The answer to a post with this key."""
    status, _, body = post(stack, "/v1/events", EVENT, key)
    return status, body.get("code")


def test_a_revoked_key_stops_working_when_its_document_is_renewed(stack: Stack) -> None:
    key = create_fleet(stack, "revoked-fleet")
    assert status_with(stack, key) == (202, None)
    Admin.of(stack).revoke_key("revoked-fleet", key)
    # In the test profile processes look for a newer document every second; longer waits are slack for the machine.
    wait_until("the revoked key is refused", lambda: status_with(stack, key) == (401, "revoked_key"), seconds=10)
    assert {status_with(stack, key) for _ in range(12)} == {(401, "revoked_key")}


def test_an_expired_key_is_refused(stack: Stack) -> None:
    key = create_fleet(stack, "expired-fleet")
    with psycopg.connect(stack["database"]) as connection:
        connection.execute("UPDATE api_key SET expires_at = now() WHERE fleet_id = 'expired-fleet'")
    wait_until("the expired key is refused", lambda: status_with(stack, key) == (401, "expired_key"))


@pytest.mark.shows_fault(
    part="ingest",
    fault="database, cache, or both away",
    expected="published keys work, unknown firmware is rejected, no request gets a 5xx; the schemas ship with the code",
)
@pytest.mark.shows_loss_path(
    fails="the database, the cache or both are away",
    section="Before it is accepted",
    event_is="ingestion continues: every published key works",
    told="`ingest-uninformed` while the cache is away, `aggregate-retrying` while the database is",
    comes_back="nothing to do",
)
@pytest.mark.parametrize("away", [("postgres",), ("redis",), ("postgres", "redis")], ids="+".join)
def test_with_stores_away_every_key_works_that_was_published(
    stack: Stack, injector: Injector, away: tuple[str, ...]
) -> None:
    used = create_fleet(stack, f"used-{'-'.join(away)}")
    unused = create_fleet(stack, f"unused-{'-'.join(away)}")
    assert status_with(stack, used) == (202, None)
    with injector.frozen(*away):
        answers = [status_with(stack, key) for key in (used, unused, used)]
        time.sleep(3)  # longer than any copy is fresh
        # Of a process that has not read anything yet, too.
        injector.end_workers("ingest")
        answers += [status_with(stack, key) for key in (used, unused, used)]
        assert set(answers) == {(202, None)}
        status, _, body = post(stack, "/v1/events", samples.read_bytes("telemetry-unknown-firmware.json"), used)
        assert (status, body["results"][0]["error"]["code"]) == (400, "unknown_firmware")
        assert status_with(stack, forge(stack)) == (401, "unknown_key")


@pytest.mark.parametrize("away", ["cache flushed", "database down"])
def test_a_revocation_is_in_force_everywhere_whatever_fails_right_after_it(
    stack: Stack, injector: Injector, away: str
) -> None:
    fleet = f"revoked-{away.replace(' ', '-')}"
    key = create_fleet(stack, fleet)
    assert {status for status, _ in side_by_side(stack, key)} == {202}
    Admin.of(stack).revoke_key(fleet, key)
    if away == "cache flushed":
        with open_cache(stack["cache"]) as cache:
            cache.flushall(target_nodes=RedisCluster.ALL_NODES)
    with injector.frozen("postgres") if away == "database down" else contextlib.nullcontext():
        refused = [(401, "revoked_key")] * 3 * WORKERS_PER_FUNCTION
        wait_until("all refuse the key", lambda: side_by_side(stack, key) == refused, seconds=10)


def test_a_flood_of_forged_keys_costs_no_question_and_no_other_fleet_an_answer(
    stack: Stack, injector: Injector
) -> None:
    key = create_fleet(stack, "beside-forgers")
    forged = [forge(stack) for _ in range(200)]
    assert {status for status, _ in side_by_side(stack, key)} == {202}
    # Of every worker's connection: ingest has none to the database, and the cache counts its commands.
    with open_cache(stack["cache"]) as cache:
        began, before = time.monotonic(), count_reads(cache)
        with ThreadPoolExecutor(8) as forgers:
            flood = forgers.map(lambda one: status_with(stack, one), forged * 5)
            others = Counter(status_with(stack, key) for _ in range(20))
            assert set(flood) == {(401, "unknown_key")}
        # Each worker looks for a newer version a limited number of times, whatever is asked.
        looks = time.monotonic() - began + MOST_LOOKS
        assert count_reads(cache) - before <= 2 * WORKERS_PER_FUNCTION * looks
    assert others == {(202, None): 20}
    assert "DATABASE_HOST" not in injector.environment("ingest")
    # A flood delays new keys by a second. Those of other tests are not to notice.
    time.sleep(2)


def test_a_key_is_rotated_under_load_without_one_refused_request(stack: Stack) -> None:
    admin, fleet = Admin.of(stack), "rotated-under-load"
    old = create_fleet(stack, fleet)
    answers: dict[str, Counter[tuple[int, str | None]]] = {old: Counter()}
    batch = samples.encode([samples.read("telemetry-v1.json")] * 50)
    over = threading.Event()

    def post_on(key: str) -> None:
        while not over.wait(0.2):
            status, _, body = post(stack, "/v1/events", batch, key)
            answers[key][status, body.get("code")] += 1

    devices = [threading.Thread(target=post_on, args=[old]) for _ in range(2)]
    for device in devices:
        device.start()
    new = admin.rotate_key(fleet, old)
    answers[new] = Counter()
    devices += [threading.Thread(target=post_on, args=[new]) for _ in range(2)]
    for device in devices[2:]:
        device.start()
    time.sleep(6)
    over.set()
    for device in devices:
        device.join()
    assert [set(each) for each in answers.values()] == [{(202, None)}] * 2
    admin.revoke_key(fleet, old)
    wait_until("the old key is refused", lambda: status_with(stack, old) == (401, "revoked_key"), seconds=10)
    assert status_with(stack, new) == (202, None)


def test_a_quota_that_is_changed_under_load_is_in_force_and_never_lifted_meanwhile(stack: Stack) -> None:
    before, after = 100, 10
    key = create_fleet(stack, "changed-quota", events_per_second=before)
    batch = samples.encode([samples.read("telemetry-v1.json")] * 50)
    wait_until("the quota is used up", lambda: post(stack, "/v1/events", batch, key)[0] == 429)
    began, accepted = time.monotonic(), 0
    Admin.of(stack).change_fleet("changed-quota", events_per_second=after)
    # Every worker knows within a second; a slow machine gets some more.
    known = time.monotonic() - began + 3
    while time.monotonic() - began < known + 9:
        accepted += 50 * (post(stack, "/v1/events", batch, key)[0] == 202)
    assert accepted <= before * known + after * (time.monotonic() - began) + 50


def forge(stack: Stack) -> str:
    """Make a well-formed key that no one has created."""
    return compose_key(stack["stage"], secrets.token_hex(8), "x" * 43)


def count_reads(cache: RedisCluster) -> int:
    """Return how many times fields of hashes were read."""
    found = cache.info("commandstats", target_nodes=RedisCluster.RANDOM)
    return int(found.get("cmdstat_hget", {"calls": 0})["calls"])


def side_by_side(stack: Stack, key: str, times: int = 3 * WORKERS_PER_FUNCTION) -> list[tuple[int, str | None]]:
    """Post enough requests at the same time that every worker gets one."""
    answers: list[tuple[int, str | None]] = []
    threads = [threading.Thread(target=lambda: answers.append(status_with(stack, key))) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.shows_fault(part="load", fault="one hot fleet", expected="429 for it; other fleets keep their answers")
@pytest.mark.shows_loss_path(
    fails="its fleet is over its quota",
    section="Before it is accepted",
    event_is="with the device, 429 with the quota's name",
    told="no one; counted by fleet",
    comes_back="sent later",
)
@pytest.mark.parametrize("away", [(), ("redis",)], ids=["with the cache", "without it"])
def test_one_fleet_flooding_is_held_back_and_the_others_keep_their_answers(
    stack: Stack, injector: Injector, away: tuple[str, ...]
) -> None:
    name = "-".join(("flood", *away))
    loud, quiet = create_fleet(stack, name, events_per_second=20), create_fleet(stack, f"{name}-quiet")
    batch = samples.encode([samples.read("telemetry-v1.json")] * 50)
    side_by_side(stack, quiet)
    with injector.frozen(*away) if away else contextlib.nullcontext():
        flood: Counter[tuple[int, str | None]] = Counter()
        others: Counter[tuple[int, str | None]] = Counter()
        for _ in range(20):
            status, headers, body = post(stack, "/v1/events", batch, loud)
            flood[status, body.get("code")] += 1
            if status == 429:
                assert int(headers["retry-after"]) >= 1
            others[status_with(stack, quiet)] += 1
    assert set(flood) == {(202, None), (429, "quota_events")}
    # 20 a second and 10 s of burst: 4 batches at once, and one more for every 2.5 s that the test takes.
    assert flood[202, None] < 12
    assert others == {(202, None): 20}


@pytest.mark.shows_fault(part="load", fault="one hot fleet")
def test_a_flood_of_single_posts_leaves_the_others_their_answers(stack: Stack) -> None:
    loud = create_fleet(stack, "single-flood", events_per_second=20)
    quiet = create_fleet(stack, "single-flood-quiet")
    over, flood = threading.Event(), Counter[int]()

    def post_on() -> None:
        while not over.is_set():
            flood[status_with(stack, loud)[0]] += 1

    callers = [threading.Thread(target=post_on) for _ in range(8)]
    for caller in callers:
        caller.start()
    others = Counter(status_with(stack, quiet)[0] for _ in range(30))
    over.set()
    for caller in callers:
        caller.join()
    assert set(flood) == {202, 429}
    assert others == {202: 30}


def test_a_fleet_that_sends_mostly_rubbish_is_asked_to_stop(stack: Stack) -> None:
    key = create_fleet(stack, "rubbish", rejects_per_second=1)
    rubbish = samples.encode([samples.read("telemetry-invalid.json")] * 100)
    assert post(stack, "/v1/events", rubbish, key)[0] == 400
    status, _, body = post(stack, "/v1/events", EVENT, key)
    assert (status, body["code"]) == (429, "quota_rejects")
