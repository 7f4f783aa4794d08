"""A silent sink: its writer returns before its timeout, and no record is blamed for it."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cli.simulation.client import post_all
from cli.simulation.devices import EVENTS, Fleet, Sent
from tests.faults.conftest import Injector, check, letters, wait_until
from tests.flow.conftest import Stack

#: What one invocation may take: the hold, the round that began within it, and slack for a slow machine.
LONGEST = 10 + 6 + 10


def good_batches(seed: int, count: int) -> Iterator[list[Sent]]:
    fleet = Fleet(seed, devices=50, clock=lambda: datetime.now(UTC))
    for _ in range(count // 50):
        yield [fleet.good_event(EVENTS) for _ in range(50)]


def counted(stack: Stack, verb: str, what: str) -> int:
    """How often something has happened to a function's invocations by its event source."""
    with urllib.request.urlopen(f"{stack['event_source']}/_model/mappings", timeout=10) as answer:
        mappings = json.load(answer)
    (count,) = [each.get(what, 0) for each in mappings if each["function"].endswith(stack["functions"][verb])]
    return int(count)


def killers(stack: Stack) -> int:
    """How many letters blame a record."""
    return len([letter for letter in letters(stack) if letter["reason"] == "killer_record"])


@pytest.mark.shows_fault(part="Firehose", fault="throttle, death, and no bucket to deliver to")
@pytest.mark.shows_loss_path(fails="Firehose refuses some rows, all, or does not answer")
def test_archive_gives_back_what_a_silent_stream_does_not_take_before_it_is_stopped(
    stack: Stack, injector: Injector, earlier: set[str]
) -> None:
    errors, given_back = counted(stack, "archive", "function_errors"), counted(stack, "archive", "partial_failures")
    blamed = killers(stack)
    began = time.monotonic()
    with injector.frozen("firehose"):
        ledger = asyncio.run(post_all(stack["api"], stack["keys"]["device"], good_batches(61, 500)))
        wait_until("a batch is given back", lambda: counted(stack, "archive", "partial_failures") > given_back)
        assert time.monotonic() - began < LONGEST
    assert sum(ledger.accepted.values()) == 500
    check(stack, ledger, earlier)
    assert counted(stack, "archive", "function_errors") == errors
    assert killers(stack) == blamed
