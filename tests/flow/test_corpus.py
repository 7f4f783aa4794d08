"""The corpus of bad requests over HTTP: documented answers, no worker the worse for it, nothing left behind."""

import http.client
import json
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import psycopg
import pytest

from cli.simulation.client import ACCEPTED, REJECTED, Ledger
from tests.corpus.cases import Case, Keys, make_keys, read_outcome, stored_keys
from tests.corpus.families import corpus
from tests.flow.conftest import READERS, Stack
from tests.flow.http import post as send
from tests.support import samples
from tests.support.invariants import balance
from tests.support.stores import end_offsets

FLEET = "corpus"
PLENTY = 1_000_000  # quotas are another test's

# As many as ingest has workers, so that a pass brings bombs to each of them.
CONNECTIONS = 8
# A worker grows once, when it first meets a bomb, and which one does is chance. A leak grows with every pass: so one
# pass of these has to leave all workers as they were.
PASSES = 10
# What a pass may add to all workers all the same. Less than its bodies, so that holding on to them is seen.
MOST_GROWTH = 16 * 1024 * 1024

CASES = [case for case in corpus() if case.over_http]
# What makes a worker grow: bombs, and whatever is large.
LARGE = [case for case in CASES if case.family == "compression" or len(case.body) >= 1000]


@pytest.fixture(scope="module")
def keys(stack: Stack) -> Keys:
    """A fleet of our own, with a key for every way in which a key is accepted or refused."""
    made = make_keys(stack["stage"])
    with psycopg.connect(stack["database"]) as connection:
        for fleet, home in ((FLEET, None), (f"{FLEET}-abroad", "mars-north-1")):
            connection.execute(
                "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second, home_region)"
                " VALUES (%s, %s, %s, %s)",
                (fleet, PLENTY, PLENTY, home),
            )
        for key in stored_keys(made, FLEET, datetime.now(UTC) - timedelta(days=1)):
            connection.execute(
                "INSERT INTO api_key (key_id, fleet_id, role, secret_hash, expires_at, revoked_at)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (key.key_id, key.fleet_id, key.role, key.secret_hash, key.expires_at, key.revoked_at),
            )
    # publish runs every few seconds here. Each worker then looks for the key that it misses.
    event, deadline = samples.read_bytes("telemetry-v1.json"), time.monotonic() + 60
    while send(stack, "/v1/events", event, made.device)[0] == 401:
        assert time.monotonic() < deadline, "the keys are not published"
        time.sleep(0.5)
    return made


def post_all(stack: Stack, keys: Keys, cases: Sequence[Case]) -> list[str]:
    """Post cases; return the differences from the documentation."""
    shares = [cases[first::CONNECTIONS] for first in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as connections:
        return list(chain.from_iterable(connections.map(lambda share: post_cases(stack, keys, share), shares)))


def post_cases(stack: Stack, keys: Keys, cases: Iterable[Case]) -> list[str]:
    """Post cases one at a time over one connection."""
    api = urllib.parse.urlsplit(stack["api"])
    with closing(http.client.HTTPConnection(str(api.hostname), api.port, timeout=60)) as connection:
        return [complaint for case in cases for complaint in post(connection, case, keys)]


def post(connection: http.client.HTTPConnection, case: Case, keys: Keys) -> Iterator[str]:
    """Post one case and compare. Headers go as UTF-8: some are nothing that HTTP allows, and devices send them."""
    headers = {name: value.encode() for name, value in {**dict(case.headers), **case.key(keys)}.items()}
    while True:
        connection.request("POST", case.route, case.body, headers)
        answer = connection.getresponse()
        document = json.loads(answer.read())
        # The gateway's throttle is not under test, and sets the pace.
        if answer.status != 429 or "code" in document:
            break
        time.sleep(0.1)
    said = answer.status, read_outcome(document)
    if said != (case.status, case.outcome):
        yield f"{case.family}, {case.name}: answered {said!s:.300}, not {(case.status, case.outcome)!s:.300}"
    kind = "application/problem+json" if case.status >= 400 else "application/json"
    if answer.headers["content-type"] != kind or not answer.headers["x-correlation-id"]:
        yield f"{case.family}, {case.name}: answered with the headers {answer.headers.items()!s:.300}"


def memory_of_workers(stack: Stack) -> dict[int, int]:
    """The resident bytes of every process that runs ingest."""
    with urllib.request.urlopen(f"{stack['lambdas']}/_model/functions", timeout=10) as answer:
        workers = json.load(answer)[stack["functions"]["ingest"]]["workers"]
    lines = {pid: Path(f"/proc/{pid}/status").read_text().splitlines() for pid in workers}
    return {pid: int(line.split()[1]) * 1024 for pid, status in lines.items() for line in status if "VmRSS" in line}


def test_the_corpus_is_answered_as_documented_and_leaves_only_what_was_accepted(stack: Stack, keys: Keys) -> None:
    stack.settle(READERS)
    earlier = stack.stores.contents()
    letters = sum(end_offsets(stack["broker"], "dead-letter").values())

    assert post_all(stack, keys, CASES) == []
    posted, passes, growth = list(CASES), 1, MOST_GROWTH + 1
    while growth > MOST_GROWTH and passes < PASSES:
        before = memory_of_workers(stack)
        assert post_all(stack, keys, LARGE) == []
        posted += LARGE
        passes += 1
        after = memory_of_workers(stack)
        assert before.keys() <= after.keys(), "a worker died"
        growth = sum(after[pid] - before[pid] for pid in before)
    assert growth <= MOST_GROWTH
    assert sum(len(case.body) for case in LARGE) > MOST_GROWTH

    letters = sum(end_offsets(stack["broker"], "dead-letter").values()) - letters
    assert letters == sum(len(case.letters) for case in posted)

    ledger = Ledger()
    accepted = Counter(event for case in posted for event in case.accepted)
    for event, times in accepted.items():
        ledger.note(event, ACCEPTED, times)
    for body in {body for case in CASES for body in case.letters} - accepted.keys():
        ledger.note(body, REJECTED)
    stack.settle_numbers(readers=READERS)
    balance(ledger, stack.stores.read(), earlier)
