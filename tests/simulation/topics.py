"""Simulated SNS: the two topics of alert messages; the FIFO one drops what it took within five minutes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from botocore.exceptions import ReadTimeoutError

from tests.simulation.faults import ALWAYS, PARTLY, draw_failing
from tests.simulation.names import IN_ORDER
from tests.simulation.world import World

SNS = "topics"
REMEMBERED_SECONDS = 300


class Taken(NamedTuple):
    """A message that a topic delivers."""

    at: float
    group: str
    """Its incident."""
    identity: str
    text: str


class Topics:
    """The client of both topics."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.in_order: list[Taken] = []
        self._known: dict[str, float] = {}

    def publish_batch(self, *, TopicArn: str, PublishBatchRequestEntries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Take messages; say of each whether it was taken."""

        def publish(partly: str | None) -> dict[str, Any]:
            draw, entries = self._world.chance("partly published"), PublishBatchRequestEntries
            failing = draw_failing(draw, len(entries)) if partly else ()
            answer: dict[str, list[dict[str, str]]] = {"Successful": [], "Failed": []}
            for number, entry in enumerate(entries):
                if number in failing:
                    answer["Failed"].append({"Id": entry["Id"], "Code": "InternalError"})
                    continue
                if TopicArn == IN_ORDER:
                    self._take(entry)
                answer["Successful"].append({"Id": entry["Id"]})
            return answer

        return self._world.perform(SNS, f"publish to {TopicArn}", publish, _fail, (*ALWAYS, PARTLY))

    def _take(self, entry: dict[str, Any]) -> None:
        now, identity = self._world.timeline.passed, entry["MessageDeduplicationId"]
        if self._known.get(identity, -REMEMBERED_SECONDS) + REMEMBERED_SECONDS <= now:
            self.in_order.append(Taken(now, entry["MessageGroupId"], identity, entry["Message"]))
            self._known[identity] = now


def _fail(kind: str) -> Exception:
    return ReadTimeoutError(endpoint_url=f"simulated: {kind}")
