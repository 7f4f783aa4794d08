"""The database is away for longer than an event waits for aggregate: raw goes on, and what numbers lack is told."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Injector, check, post_during, post_settled, wait_until
from tests.faults.test_pressure import Watcher
from tests.faults.test_replay import sluice
from tests.faults.test_salvage import covered, names
from tests.flow.conftest import READERS, Stack, create_fleet
from tests.support.invariants import places_of
from tests.support.stream import load

FLEET = "outage"
BUFFER_SECONDS = 16
"""How long an event waits for aggregate here, and the buffer by which pressure measures: four hours, scaled."""
POSTING_SECONDS = 10


@pytest.mark.shows_fault(
    part="PostgreSQL",
    fault="down for longer than the buffer, scaled",
    expected="ingest refuses nothing; raw has every event; the numbers lack the oldest, and an alarm names the repair",
)
@pytest.mark.shows_loss_path(
    fails="the database is away for more than four hours",
    section="Between Kafka and the stores",
    event_is="in raw; the oldest also in the bucket of failed batches, then in the dead letters; the newest in Kafka",
    told="`aggregate-retrying`, `aggregate-late`, `aggregate-set-aside`",
    comes_back="the newest by themselves; the oldest as the alarm proposes, and their windows are gaps until then",
)
def test_a_database_that_is_away_for_longer_than_the_buffer_stops_no_event_and_what_the_numbers_lack_is_told(
    stack: Stack, injector: Injector, earlier: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    watcher = Watcher(stack, BUFFER_SECONDS)
    key = create_fleet(stack, FLEET, events_per_second=100_000)
    salvaged = names(stack, "failed_batches", "salvaged/aws/")
    before = places_of(stack.stores.letters(), "aggregate")
    began = time.time()
    with injector.giving_up_after("aggregate", BUFFER_SECONDS), injector.holding_workers("pressure") as held:
        wait_until("the stack's own pressure runs are held", lambda: len(held) > 0)
        ledger = post_settled(stack, load(seed=91, count=100, seconds=1), key)
        stack.settle()
        with injector.frozen("postgres"):
            thread, ledgers = post_during(stack, load(seed=92, count=500, seconds=POSTING_SECONDS), key)

            def is_on() -> bool:
                # Nothing presses, however long aggregate has waited.
                assert watcher.watch()[0] == 0
                return "aggregate-set-aside" in injector.alarms()

            wait_until("the alarm is on", is_on)
            thread.join()
            (during,) = ledgers
            assert set(during.statuses) == {202}
            stack.settle(readers=["archive"])
            wait_until("salvage has made letters", lambda: names(stack, "failed_batches", "salvaged/aws/") != salvaged)
        stack.settle()
        # Those behind them are counted.
        after = post_settled(stack, load(seed=93, count=100, seconds=1), key)
        stack.settle()
    for one in (during, after):
        ledger.accepted.update(one.accepted)
        ledger.unknown.update(one.unknown)
    wait_until("nothing lies in the bucket any more", lambda: not names(stack, "failed_batches", "aws/"))
    stack.settle(READERS)
    lost = places_of(stack.stores.letters(), "aggregate") - before
    assert {letter.fields["reason"] for letter in stack.stores.letters() if letter.place_in("raw-events") in lost} == {
        "expired"
    }
    assert 0 < len(lost) < sum(during.accepted.values()) + 100
    wait_until("the ledger knows of the letters", lambda: covered(stack, lost))
    check(stack, ledger, earlier)
    account = settle(injector, len(lost))
    assert account["archive"] == {"archived": account["accepted"], "dead_lettered": 0, "not_yet": 0}
    assert account["aggregate"]["not_yet"] == 0
    assert not {"archive-set-aside", "ingest-refusing"} & injector.alarms(began)
    wait_until("the alarm is off again", lambda: "aggregate-set-aside" not in injector.alarms())
    # As the alarm says: two commands, and nothing is lacking any more.
    plan = tmp_path / "plan.json"
    assert sluice(stack, "plan", "--missing", "--out", str(plan))["expected"]["uncounted"] >= len(lost)
    applied = sluice(stack, "apply", str(plan), "--yes")
    assert sluice(stack, "watch", applied["replay_id"])["counts"]["counted_back"] == len(lost)
    check(stack, ledger, earlier)
    account = settle(injector, 0)
    assert account["aggregate"]["counted"] + account["aggregate"]["duplicate"] == account["accepted"]
    assert "aggregate has counted every event" in sluice(stack, "plan", "--missing", fails=True)


def settle(injector: Injector, given_up: int) -> dict[str, Any]:
    """Wait until the fleet's account of the day says that so many were given up, and that none is missing."""
    found: dict[str, Any] = {}

    def look() -> bool:
        statement = injector.invoke("reconcile", {"statement": datetime.now(UTC).date().isoformat()})
        (account,) = [one for one in statement["fleets"] if one["fleet_id"] == FLEET] or [{}]
        missing = [one for one in statement["missing"] if one["fleet_id"] == FLEET]
        found.update(account)
        return not missing and account.get("state") == "balanced" and account["aggregate"]["dead_lettered"] == given_up

    wait_until("the statement tells what was given up", look)
    return found
