"""`make soak MINUTES=n`: steady traffic, one random fault after the other, and the proof that nothing was lost.

The run prints its seed. The same seed draws the same events and the same faults.
"""

import argparse
import asyncio
import contextlib
import itertools
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cli.simulation.client import Ledger, post_all
from cli.simulation.clocks import ended_minutes
from cli.simulation.devices import ACTIVITY, EVENTS, READINGS, Fleet, Sent
from tests.faults.injector import Injector
from tests.flow.conftest import READERS, ROOT, Stack, start, stop
from tests.soak.schedule import TOGETHER, Step, draw_schedule
from tests.support.invariants import UnbalancedError, balance

BATCH = 20
AT_ONCE = 4
# Until reconcile has counted the last file and run once more.
STATEMENT_SECONDS = 180
BALANCED = "balanced: every event is accounted for"


def main() -> int:
    """Soak a stack of its own; fail when anything is not where it must be."""
    options = argparse.ArgumentParser(prog="soak", description=__doc__)
    options.add_argument("--minutes", type=float, required=True)
    options.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options.add_argument("--rate", type=float, default=60, help="events a second")
    given = options.parse_args()
    say(f"seed {given.seed}: {given.minutes:g} minutes at {given.rate:g} events a second")
    directory = Path(tempfile.mkdtemp(prefix="sluice-soak-"))
    directory.chmod(0o755)
    try:
        stack = start(directory)
        faults = soak(stack, given.seed, given.minutes * 60, given.rate)
        if faults:
            kept = ROOT / ".local" / f"soak-{given.seed}"
            shutil.copytree(directory / "logs", kept, dirs_exist_ok=True)
            say(f"the stack's logs are kept in {kept}")
    finally:
        stop(directory)
        shutil.rmtree(directory, ignore_errors=True)
    say(f"seed {given.seed}: {'FAILED' if faults else 'nothing was lost, doubled, altered or invented'}")
    return 1 if faults else 0


def soak(stack: Stack, seed: int, seconds: float, rate: float) -> bool:
    """Post events and inject faults, wait until nothing is in flight, and check; return whether there are findings."""
    injector, ledgers = Injector(stack), list[Ledger]()
    began, start_of_clock = datetime.now(UTC), time.monotonic()

    def passed() -> float:
        return time.monotonic() - start_of_clock

    def work() -> None:
        events = traffic(seed, rate, lambda: passed() < seconds)
        ledgers.append(
            asyncio.run(post_all(stack["api"], stack["keys"]["device"], events, AT_ONCE, until_settled=True))
        )

    thread = threading.Thread(target=work)
    thread.start()
    for step in draw_schedule(seed, seconds):
        time.sleep(max(0.0, step.at - passed()))
        say(f"{step}  (at {passed():.1f} s)")
        with break_it(injector, step):
            time.sleep(step.seconds)
    thread.join()
    (ledger,) = ledgers
    say(f"sent {len(ledger.attempts)} times: {dict(sorted(ledger.statuses.items()))} (0 is no answer)")
    try:
        stack.settle_numbers(readers=READERS, patience=300)
        say(f"balanced: {balance(ledger, stack.stores.read())}")
        for day in sorted({day_of(began), day_of(datetime.now(UTC))}):
            say(await_balance(stack, day))
    except (UnbalancedError, AssertionError) as error:
        say(f"FAILED: {error}")
        return True
    return False


def day_of(moment: datetime) -> str:
    """Name a day as the statement does."""
    return moment.date().isoformat()


def await_balance(stack: Stack, day: str) -> str:
    """Read a day's statement until it balances: the pipeline's own accounts must agree."""
    deadline = time.monotonic() + STATEMENT_SECONDS
    while BALANCED not in (said := read_statement(stack, day)):
        assert time.monotonic() < deadline, f"the statement does not balance:\n{said}"
        time.sleep(5)
    return said


def read_statement(stack: Stack, day: str) -> str:
    """Run `sluice statement`'s own command."""
    command = [sys.executable, "-m", "cli", "statement", "--dir", str(stack.directory), "--day", day]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def traffic(seed: int, rate: float, goes_on: Callable[[], bool]) -> Iterator[list[Sent]]:
    """What a fleet sends, the faults of real fleets included, at a steady rate."""
    fleet, began = Fleet(seed, 200, ended_minutes(seed, live_share=0.3)), time.monotonic()
    for number in itertools.count():
        time.sleep(max(0.0, began + number * BATCH / rate - time.monotonic()))
        if not goes_on():
            return
        route = (EVENTS, EVENTS, EVENTS, READINGS, ACTIVITY)[number % 5]
        yield [fleet.event(route) for _ in range(BATCH)]


def break_it(injector: Injector, step: Step) -> contextlib.AbstractContextManager[object]:
    """Begin a fault; it ends with the context."""
    parts = TOGETHER.get(step.part, (step.part,))
    match step.fault:
        case "kill":
            injector.crash(*parts)
        case "cut":
            return injector.cutting(step.part, every_seconds=2)
        case "freeze":
            return injector.frozen(*parts)
        case "slow":
            return injector.slow(*parts)
        case "fill the disk of":
            return injector.full_disk(*parts)
        case "kill workers of":
            return injector.killing_workers(step.part, every_seconds=1, seed=int(step.at))
        case "hold workers of":
            return injector.holding_workers(step.part)
        case "refuse records at":
            return injector.faulty_delivery(refuse_share=0.5)
        case "lose answers of":
            return injector.faulty_delivery(lose_answer_share=0.5)
    return contextlib.nullcontext()


def say(what: str) -> None:
    """Print at once: the viewer of a soak wants to see its progress."""
    print(what, flush=True)  # noqa: T201 - a command's own words


if __name__ == "__main__":
    sys.exit(main())
