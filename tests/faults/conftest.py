"""A stack of its own for the fault tests, and how they post to it and check it."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from cli.simulation.client import Ledger, digest, post_all
from cli.simulation.devices import Sent
from tests.faults.injector import BROKERS as BROKERS
from tests.faults.injector import Injector as Injector
from tests.faults.injector import wait_until as wait_until
from tests.flow.conftest import READERS, Stack, start, stop
from tests.support import samples
from tests.support.invariants import Balance, balance


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for faults only."""
    directory = tmp_path_factory.mktemp("faults")
    try:
        yield start(directory)
    finally:
        stop(directory)


@pytest.fixture
def injector(stack: Stack) -> Injector:
    """The means to break it."""
    return Injector(stack)


def post_settled(stack: Stack, batches: Iterable[Sequence[Sent]], key: str = "") -> Ledger:
    """Post as a good client does: it sends unknown events and those to retry again."""
    return asyncio.run(post_all(stack["api"], key or stack["keys"]["device"], batches, until_settled=True))


def post_during(stack: Stack, batches: Iterator[list[Sent]], key: str = "") -> tuple[threading.Thread, list[Ledger]]:
    """Post in the background. The ledger is in the list when the thread has ended."""
    ledgers: list[Ledger] = []

    thread = threading.Thread(target=lambda: ledgers.append(post_settled(stack, batches, key)))
    thread.start()
    return thread, ledgers


def letters(stack: Stack) -> list[dict[str, Any]]:
    """Every dead letter in the bucket, read without the table."""
    return [dict(letter.fields) for letter in stack.stores.letters()]


@pytest.fixture
def earlier(stack: Stack) -> set[str]:
    """What was stored before a test began, and the samples that tests post one by one."""
    stack.settle(READERS)
    return stack.stores.contents() | {digest(samples.read_bytes(path.name)) for path in samples.EVENTS.glob("*.json")}


def check(stack: Stack, ledger: Ledger, earlier: set[str]) -> Balance:
    """Wait until nothing is in flight, and prove that everything is where it must be and nowhere else."""
    stack.settle_numbers(readers=READERS)
    return balance(ledger, stack.stores.read(), earlier)
