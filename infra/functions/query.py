"""query: answers readers from the database, the cache and three other functions."""

from dataclasses import dataclass

from constructs import Construct

from infra.api.door import GATEWAY_SECONDS, KEY_SECONDS, Door, Keys, Throttle
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.deployment import require
from infra.stores import cache as names
from infra.stores.database import CONNECT_SECONDS
from sluice.edge.settings import QuerySettings

OF_A_FLEET = ("devices", "groups", "groups/{group}", "recent", "rollups", "baselines", "counters", "changes")
ROUTES = (
    "GET /health",
    "GET /v1/fleets",
    "GET /v1/fleets/{fleet}",
    *(f"GET /v1/fleets/{{fleet}}/{part}" for part in OF_A_FLEET),
    "GET /v1/statement",
    "GET /v1/dead-letters",
    "GET /v1/incidents",
    "GET /v1/incidents/{incident}",
)
CACHED = (names.PUBLISHED, names.QUOTAS, names.GROUPS, names.LETTERS, names.COUNTERS_TO_READ)


@dataclass(frozen=True)
class QueryProfile:
    """The function that answers readers, and how long it may wait for the functions that it calls."""

    compute: Compute
    throttle: Throttle
    """The throttle of each of its routes, for all readers together."""
    requests_per_second: int
    """The limit of one key."""
    answer_seconds: int
    """How long the database may take for one query."""
    recent_seconds: int
    lookup_seconds: int
    lookup_rest_seconds: int
    """How long query does not ask a directory again that did not answer."""
    recall_seconds: int
    group_believed_seconds: int
    """How long the directory's last answer for a group stays valid."""
    letters_seconds: int
    letters_believed_seconds: int
    """How long redrive's last answer for a fleet stays valid."""

    def __post_init__(self) -> None:
        # Only a missing answer shows that a connection was cut. Then query opens another one and asks again.
        invoked = max(self.lookup_seconds, self.recall_seconds)
        longest = KEY_SECONDS + CONNECT_SECONDS + 2 * (self.answer_seconds + 1) + invoked
        require(
            longest < self.compute.timeout_seconds < GATEWAY_SECONDS,
            f"query may wait for {longest} s, and must answer before its own timeout and the gateway's",
        )
        # For dead letters it asks its own database nothing.
        require(
            KEY_SECONDS + self.letters_seconds < self.compute.timeout_seconds,
            "query must answer before its own timeout when redrive does not answer",
        )


class Query(Function):
    """The function behind every route that reads."""

    def __init__(
        self,
        scope: Construct,
        base: Base,
        settings: QueryProfile,
        *,
        keys: Keys,
        change_hours: int,
        lookup: Function,
        recall: Function,
        redrive: Function,
    ) -> None:
        super().__init__(
            scope,
            "query",
            base,
            settings,
            synchronous=True,
            reads=QuerySettings,
            settings=[keys],
            facts={"change_hours": change_hours},
            uses=[
                base.database.access("query"),
                base.control_data.read(),
                base.cache.access("query", *CACHED),
                lookup.access(base.network.lambdas),
                recall.access(base.network.lambdas),
                redrive.access(base.network.lambdas),
            ],
        )
        self.door = Door(self.node.id, self.live, dict.fromkeys(ROUTES, settings.throttle))
