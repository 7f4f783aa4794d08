"""admin: changes fleets, keys, rules and destinations, for principals who sign their requests with IAM."""

from dataclasses import dataclass

from constructs import Construct

from infra.api.door import GATEWAY_SECONDS, Door, Throttle
from infra.api.roles import AUDIT, CHANGES, ON_CALL, READS
from infra.building_blocks.access import Access
from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.deployment import require
from infra.functions.publish import PUBLISH_SECONDS
from infra.stores import cache as names
from infra.stores.database import CONNECT_SECONDS
from sluice.edge.notify.posting import TOTAL_SECONDS
from sluice.edge.settings import AdminSettings


@dataclass(frozen=True)
class AdminProfile:
    """The function behind the admins' routes, and how long keys are valid."""

    compute: Compute
    throttle: Throttle
    """The throttle of each of its routes, for all admins together."""
    answer_seconds: int
    """How long the database may take for one statement, and a change may wait for another one."""
    key_overlap_days: float
    """How long a rotated key works beside its successor."""
    reader_key_days: int
    """How long a reader's key works unless the admin says otherwise."""
    replay_seconds: int
    """How long the function replay may take to make a plan."""
    redrive_seconds: int
    """How long the function redrive may take to answer."""
    notify_seconds: int
    """How long the function notify may take to test a destination."""

    def __post_init__(self) -> None:
        # A change is published after it: another question, S3 and Valkey.
        longest = CONNECT_SECONDS + 2 * (self.answer_seconds + 1) + PUBLISH_SECONDS
        require(
            longest < self.compute.timeout_seconds < GATEWAY_SECONDS,
            f"admin may wait for {longest} s, and must answer before its own timeout and the gateway's",
        )
        # A message that opens and one that closes.
        require(
            self.notify_seconds > 2 * TOTAL_SECONDS,
            "admin must wait for both messages of a test, or it cannot say what came of them",
        )


class Admin(Function):
    """The function behind the routes that change control data."""

    def __init__(
        self,
        scope: Construct,
        base: Base,
        settings: AdminProfile,
        *,
        replay: Function,
        machine: Access,
        redrive: Function,
        notify: Function,
    ) -> None:
        super().__init__(
            scope,
            "admin",
            base,
            settings,
            synchronous=True,
            reads=AdminSettings,
            uses=[
                base.database.access("admin"),
                base.control_data.publish(),
                base.cache.access("admin", names.TO_PUBLISH, names.EXTRA),
                replay.access(base.network.lambdas),
                machine,
                redrive.access(base.network.lambdas),
                notify.access(base.network.lambdas),
            ],
        )
        routes = dict.fromkeys((*READS, *AUDIT, *ON_CALL, *CHANGES), settings.throttle)
        self.door = Door(self.node.id, self.live, routes, signed=True)
