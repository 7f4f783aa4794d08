"""One history from its beginning to the check: it happens, the world becomes healthy, everything settles."""

import json
import logging
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.simulation.devices import Sent
from local.models.invoke_client import NotInvoked
from sluice.core.errors import Retryable
from tests.simulation.clients import Clients
from tests.simulation.database import HistoryDatabase
from tests.simulation.deployment import Deployment
from tests.simulation.edges import simulated
from tests.simulation.faults import Faults, draw_faults
from tests.simulation.happenings import Happenings, make_key
from tests.simulation.history import BATCHES, PARTS, History
from tests.simulation.judging import find_misjudgements
from tests.simulation.settling import Settling
from tests.simulation.snapshot import find_faults
from tests.simulation.timeline import BEGINS
from tests.simulation.watching import Watch
from tests.simulation.world import World

SETTLES_WITHIN = 3600.0
"""Once the world is healthy, nothing may be under way for longer than this."""
MORE_PARTS = ("invocation", "topics", "workflow")
REFUSALS = ("PlanRefusedError", "ChunksMissingError", "NeverSentError")
"""What a step of a replay raises for the state machine to read."""


@dataclass(frozen=True)
class Outcome:
    """What a history came to."""

    history: History
    wrong: list[str]
    trace: list[str]
    met: Counter[tuple[str, str, str]]
    """How often each step met each fault."""
    seconds: float
    """Simulated ones."""
    events: int
    """How often an event was posted."""


class Simulation:
    """A world with everything in it."""

    def __init__(self, history: History, dsn: str, directory: Path) -> None:
        self.history = history
        self.dsn = dsn
        # Nothing fails while it is set up.
        self.world = World(history.seed, Faults(random.Random(0), over=True))
        self.world.open_share = history.open_share
        self.deployment = Deployment(self.world, history, directory)
        self._faults = self._find_faults()
        self.database = HistoryDatabase(self.world, dsn)
        self.watch = self.world.witness = Watch(self.deployment.brokers, self.database.owner, history.quota)
        self.clients = Clients(self.world, self.deployment.runtime, make_key(self.database, history.quota))
        self.happenings = Happenings(self.deployment, self.database, self.clients)
        self.statements: dict[str, Any] = {}
        """The pipeline's own, by day."""

    def run(self) -> Outcome:
        """Run it to the check."""
        world, deployment = self.world, self.deployment
        services, patches = deployment.clients(), deployment.runtime.patches()
        with _quiet(), simulated(world, deployment.brokers, deployment.cache, self.database, services, patches):
            try:
                wrong = self._live()
            finally:
                world.timeline.close()
                deployment.runtime.close()
                self.database.close()
        history = self.history.with_faults(self._faults.happened)
        return Outcome(history, wrong, world.trace, world.met, world.timeline.passed, len(self.clients.ledger.attempts))

    def _find_faults(self) -> Faults:
        if self.history.faults is None:
            return draw_faults(
                self.world.chance("faults"),
                (*PARTS, *MORE_PARTS),
                self.deployment.functions,
                self.deployment.list_own(self.history.areas),
                often=BATCHES in self.history.areas,
            )
        return Faults(random.Random(0), written={fault.place: fault.kind for fault in self.history.faults})

    def _live(self) -> list[str]:
        world, history = self.world, self.history
        self._wait_for(self.happenings.prepare)
        world.faults = self._faults
        for name in self.deployment.functions:
            if seconds := self.deployment.find_interval(name):
                self._schedule(name, seconds)
        for post in history.posts:
            self.clients.begin(post)
        for outage in history.outages:
            self.happenings.begin_outage(outage)
        for change in history.changes:
            self.happenings.begin_change(change)
        # What went wrong for a moment is enough: the rest of such a history shows nothing more.
        if world.timeline.run(lambda: bool(self.watch.wrong), history.seconds):
            return [*self.watch.wrong]
        world.note("the world is healthy")
        self._faults.over = True
        world.away.clear()
        settling = Settling(self.deployment, self.database, self.clients, self.happenings)
        if not world.timeline.run(lambda: bool(self.watch.wrong) or settling.is_over(), SETTLES_WITHIN):
            return [f"{SETTLES_WITHIN:.0f} s after the world became healthy: {settling.find_work()}"]
        if self.watch.wrong:
            return [*self.watch.wrong]
        ended = [*self.happenings.wrong, *self._try_keys(settling), *self._find_defects(), *self._check()]
        return [*self.watch.wrong, *ended]

    def _check(self) -> list[str]:
        self._do("reconcile", {})
        day = BEGINS.date().isoformat()
        self.statements[day] = self._do("reconcile", {"statement": day})
        return [*find_faults(self), *find_misjudgements(self)]

    def _try_keys(self, settling: Settling) -> Iterator[str]:
        """Post with keys that were revoked, and with the one that works."""
        if not self.happenings.revoked:
            return
        body = b'{"type": "checked", "timestamp": "2026-03-02T09:40:00Z", "source": "gate-00", "metadata": {}}'
        keys = [*self.happenings.revoked, self.clients.key]
        sent = Sent("/v1/activity", body, "activity")
        statuses = self._wait_for(lambda: [self.clients.find_status(key, sent) for key in keys])
        if statuses != [401] * len(self.happenings.revoked) + [202]:
            yield f"revoked keys and the one that works are answered {statuses}"
        if not self.world.timeline.run(settling.is_over, SETTLES_WITHIN):
            yield f"after one more event: {settling.find_work()}"

    def _find_defects(self) -> Iterator[str]:
        """List what handlers raised that is no failure of a service."""
        for name, errors in self.deployment.runtime.errors.items():
            for error in errors:
                if not isinstance(error, Retryable) and type(error).__name__ not in REFUSALS:
                    frame = traceback.extract_tb(error.__traceback__)[-1]
                    yield f"{name} raised {error!r} in line {frame.lineno} of {Path(frame.filename).name}"

    def _do(self, name: str, event: Any) -> Any:
        """Invoke a function, and wait for its answer."""
        return json.loads(self._wait_for(lambda: self.deployment.runtime.invoke(name, event)).payload)

    def _wait_for(self, work: Callable[[], Any]) -> Any:
        task = self.world.timeline.spawn("simulation", work)
        self.world.timeline.run(lambda: task.ended, 600)
        return task.value

    def _schedule(self, name: str, seconds: float) -> None:
        def start() -> None:
            try:
                self.deployment.runtime.invoke(name, {})
            except NotInvoked:
                self.world.note(f"{name} is still busy")

        def repeat() -> None:
            while True:
                self.world.timeline.sleep(seconds)
                self.world.timeline.spawn(f"scheduled {name}", start)

        self.world.timeline.spawn(f"schedule of {name}", repeat)


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def run_history(history: History, dsn: str) -> Outcome:
    """Run a history in a fresh database."""
    with tempfile.TemporaryDirectory(prefix="sluice-simulation-") as directory:
        return Simulation(history, dsn, Path(directory)).run()
