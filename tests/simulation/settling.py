"""Whether a history is over: nothing is under way any more, anywhere."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.simulation.clients import Clients
from tests.simulation.database import HistoryDatabase
from tests.simulation.deployment import Deployment
from tests.simulation.happenings import Happenings
from tests.simulation.names import FAILED, RAW

ASK_SECONDS = 5.0
HALTED_SECONDS = 240.0
"""How long consumers stand still before a person allows them more dead letters: longer than a newer release is held."""
HALTING = ("archive", "aggregate", "detect")
LEAVE_SECONDS = 60.0
"""How long a person leaves a replay alone that does not run."""


class Settling:
    """Looks, from time to time, at what is under way."""

    def __init__(
        self, deployment: Deployment, database: HistoryDatabase, clients: Clients, happenings: Happenings
    ) -> None:
        self._deployment = deployment
        self._world = deployment.world
        self._database = database
        self._clients = clients
        self._happenings = happenings
        self._asked = 0.0
        self._applied_at = 0.0
        self._allowed_at = self._world.timeline.passed

    def is_over(self) -> bool:
        """Whether nothing is under way. It is asked before every step, and looks every few seconds."""
        passed = self._world.timeline.passed
        if passed < self._asked + ASK_SECONDS:
            return False
        self._asked = passed
        return not self.find_work()

    def find_work(self) -> str:
        """Say what is under way, if anything is."""
        deployment = self._deployment
        if self._clients.busy or self._happenings.busy:
            return "a client or an admin waits for an answer"
        if unread := deployment.unread():
            self._help_halted(unread)
            return f"{', '.join(unread)} read"
        if not all(stream.is_empty for stream in deployment.firehose.streams.values()):
            return "rows wait to be delivered"
        if deployment.store.names(FAILED, "aws/") or deployment.store.names(RAW, "errors/"):
            return "failed objects wait to be salvaged"
        if deployment.workflows.running:
            return "a replay runs"
        looks = (
            self._find_unaccounted,
            self._find_replays,
            self._find_redrives,
            self._find_messages,
            self._find_markers,
        )
        return next(filter(None, (look() for look in looks)), "")

    def _help_halted(self, unread: list[str]) -> None:
        """Allow more dead letters, as a person does who sees that consumers stand still."""
        passed = self._world.timeline.passed
        if passed < self._allowed_at + HALTED_SECONDS:
            return
        self._allowed_at = passed
        for consumer in HALTING:
            if consumer in unread:
                self._world.timeline.spawn("allow letters", partial(self._happenings.allow_letters, consumer))

    def _find_unaccounted(self) -> str:
        accounts = self._ask("SELECT consumer, partition, offsets FROM coverage WHERE topic = 'raw-events'")
        covered = {
            (consumer, number): sum(one.upper - one.lower for one in offsets) for consumer, number, offsets in accounts
        }
        for consumer in ("archive", "aggregate"):
            for number, log in enumerate(self._deployment.brokers.topics["raw-events"]):
                if covered.get((consumer, number), 0) < len(log):
                    return f"{consumer} has not accounted for all of partition {number}"
        ((named,),) = self._ask("SELECT count(*) FROM missing_event")
        return f"{named} events are named as missing" if named else ""

    def _find_replays(self) -> str:
        if "replay" not in self._deployment.functions:
            return ""
        active = self._ask(
            "SELECT 'replay-' || left(plan_hash, 16), state FROM replay"
            " WHERE state NOT IN ('done', 'cancelled', 'failed') ORDER BY replay_number"
        )
        if not active:
            return self._find_spoiled()
        name, state = active[0]
        self._sometimes("apply again", partial(self._happenings.apply_again, name))
        return f"{name} is {state}"

    def _find_spoiled(self) -> str:
        """Look for wrong numbers that no replay has replaced since."""
        spoiled_at = self._happenings.spoiled_at
        if spoiled_at is None:
            return ""
        asked = (
            "SELECT count(*) FROM replay WHERE state = 'done' AND claimed_at > %s AND (plan ->> 'reprocess')::boolean"
        )
        ((done,),) = self._ask(asked, spoiled_at)
        if not done:
            self._sometimes("replay", self._happenings.replay_all)
        return "" if done else "numbers are wrong"

    def _sometimes(self, name: str, act: Callable[[], None]) -> None:
        passed = self._world.timeline.passed
        if passed >= self._applied_at + LEAVE_SECONDS:
            self._applied_at = passed
            self._world.timeline.spawn(name, act)

    def _find_redrives(self) -> str:
        if "redrive" not in self._deployment.functions:
            return ""
        ((active,),) = self._ask("SELECT count(*) FROM redrive WHERE state IN ('sending', 'draining')")
        return f"{active} re-drives are not over" if active else ""

    def _find_messages(self) -> str:
        if "alert" not in self._deployment.functions:
            return ""
        ((waiting,),) = self._ask("SELECT count(*) FROM alert_message WHERE sent_at IS NULL")
        return f"{waiting} messages wait to be sent" if waiting else ""

    def _find_markers(self) -> str:
        ((due,),) = self._ask(
            "SELECT count(*) FROM dirty WHERE resolution = '1m' AND window_start < %s", self._world.timeline.now()
        )
        return f"{due} minutes wait to be rolled" if due else ""

    def _ask(self, question: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._database.owner.execute(question.encode(), parameters).fetchall()
