"""Keys and quotas while the stores that know them are away, and after they change."""

import contextlib
import threading
import time
from collections import Counter

import psycopg
import pytest

from local.overrides import WORKERS_PER_FUNCTION
from tests.faults.conftest import Injector, wait_until
from tests.flow.conftest import Stack, create_fleet
from tests.flow.http import post
from tests.support import samples

EVENT = samples.read_bytes("telemetry-v1.json")


def status_with(stack: Stack, key: str) -> tuple[int, str | None]:
    """The answer to a post with this key."""
    status, _, body = post(stack, "/v1/events", EVENT, key)
    return status, body.get("code")


def test_a_revoked_key_stops_working_within_the_time_its_copies_live(stack: Stack) -> None:
    key = create_fleet(stack, "revoked-fleet")
    assert status_with(stack, key) == (202, None)
    with psycopg.connect(stack["database"]) as connection:
        connection.execute("UPDATE api_key SET revoked_at = now() WHERE fleet_id = 'revoked-fleet'")
    # The test profile's copies live 1 s in memory and 2 s in the cache; longer waits are slack for the machine.
    wait_until("the revoked key is refused", lambda: status_with(stack, key) == (401, "revoked_key"), seconds=10)
    assert {status_with(stack, key) for _ in range(12)} == {(401, "revoked_key")}


def test_an_expired_key_is_refused(stack: Stack) -> None:
    key = create_fleet(stack, "expired-fleet")
    with psycopg.connect(stack["database"]) as connection:
        connection.execute("UPDATE api_key SET expires_at = now() WHERE fleet_id = 'expired-fleet'")
    assert status_with(stack, key) == (401, "expired_key")


@pytest.mark.shows_fault(
    part="ingest",
    fault="database, cache, or both away",
    expected="known keys work, unknown firmware is rejected, no request gets a 5xx; the schemas ship with the code",
)
@pytest.mark.shows_loss_path(
    fails="the database, the cache or both are away",
    section="Before it is accepted",
    event_is="ingestion continues: known keys work from copies",
    told="`ingest-uninformed` while the cache is away, `aggregate-retrying` while the database is",
    comes_back="nothing to do",
)
@pytest.mark.parametrize("away", [("postgres",), ("redis",), ("postgres", "redis")], ids="+".join)
def test_with_stores_away_known_keys_work_and_unknown_ones_do_not(
    stack: Stack, injector: Injector, away: tuple[str, ...]
) -> None:
    known = create_fleet(stack, f"known-{'-'.join(away)}")
    unknown = create_fleet(stack, f"unknown-{'-'.join(away)}")
    # Every worker must have seen the key: the test posts concurrently until the maximum of workers runs.
    wait_until(
        "all workers run",
        lambda: side_by_side(stack, known) and len(injector.workers("ingest")) == WORKERS_PER_FUNCTION,
    )
    for _ in range(3):
        assert {status for status, _ in side_by_side(stack, known)} == {202}
    with injector.frozen(*away):
        answers = [status_with(stack, known) for _ in range(3)]
        time.sleep(3)  # longer than any copy is fresh
        answers += [status_with(stack, known) for _ in range(3)]
        assert set(answers) == {(202, None)}
        status, _, body = post(stack, "/v1/events", samples.read_bytes("telemetry-unknown-firmware.json"), known)
        assert (status, body["results"][0]["error"]["code"]) == (400, "unknown_firmware")
        if "postgres" in away:
            assert status_with(stack, unknown) == (429, "keys_unavailable")
    wait_until("the stores are asked again", lambda: status_with(stack, unknown) == (202, None))


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
