"""trace: reports what became of one event, to readers and operators."""

from dataclasses import dataclass

from constructs import Construct

from infra.api.door import GATEWAY_SECONDS, KEY_SECONDS, Door, Keys, Throttle
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.deployment import require
from infra.stores import cache as names
from infra.stores.database import CONNECT_SECONDS
from sluice.core.metrics import SOURCES_UNAVAILABLE
from sluice.edge.settings import TraceSettings


@dataclass(frozen=True)
class TraceProfile:
    """The function that reports what became of an event, and how long it waits for its sources."""

    compute: Compute
    throttle: Throttle
    requests_per_second: float
    """The limit of one key: each answer reads days of files."""
    answer_seconds: int
    """How long the database may take for one query."""
    seek_seconds: int

    def __post_init__(self) -> None:
        longest = KEY_SECONDS + CONNECT_SECONDS + 2 * (self.answer_seconds + 1) + self.seek_seconds
        require(
            longest < self.compute.timeout_seconds < GATEWAY_SECONDS,
            f"trace may wait for {longest} s, and must answer before its own timeout and the gateway's",
        )


class Trace(Function):
    """The function behind the route; operators may also invoke it."""

    def __init__(
        self, scope: Construct, base: Base, settings: TraceProfile, *, keys: Keys, visible_seconds: int, seek: Function
    ) -> None:
        super().__init__(
            scope,
            "trace",
            base,
            settings,
            synchronous=True,
            reads=TraceSettings,
            settings=[keys],
            facts={"trace_visible_seconds": visible_seconds},
            uses=[
                base.database.access("trace"),
                base.control_data.read(),
                base.cache.access("trace", names.PUBLISHED, names.QUOTAS),
                seek.access(base.network.lambdas),
            ],
        )
        self.door = Door(self.node.id, self.live, {"GET /v1/trace/{event_id}": settings.throttle})
        self.alarm(
            "blind",
            # One is enough: traces are rare, and this reader got an incomplete answer.
            self.own(SOURCES_UNAVAILABLE, minutes=60),
            means="A trace could not read the files or the numbers within an hour. The logs of trace and seek say why.",
        )
