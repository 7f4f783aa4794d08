"""publish: keeps what S3 and Valkey hold of the control data equal to what the database holds."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from infra.stores import cache as names
from infra.stores.database import CONNECT_SECONDS
from sluice.edge.control.sources import SOURCES
from sluice.edge.settings import PublishSettings

EVERY_MINUTES = 1
PUBLISH_SECONDS = 10
"""How long publishing a kind may take: two calls of S3, each tried twice within two seconds, and one of Valkey."""


@dataclass(frozen=True)
class PublishProfile:
    """The function that publishes control data, and how long it waits for the database."""

    compute: Compute
    answer_seconds: int

    def __post_init__(self) -> None:
        # A store that does not answer ends the run.
        longest = CONNECT_SECONDS + 2 * (self.answer_seconds + 1) + len(SOURCES) * PUBLISH_SECONDS
        require(
            longest < self.compute.timeout_seconds,
            f"publish may wait for {longest} s, and must report that before its own timeout",
        )


class Publish(Function):
    """The function that publishes, and its schedule. The first to publish is migrate."""

    def __init__(self, scope: Construct, base: Base, settings: PublishProfile) -> None:
        super().__init__(
            scope,
            "publish",
            base,
            settings,
            reads=PublishSettings,
            uses=[
                base.database.access("publish"),
                base.control_data.publish(),
                base.cache.access("publish", names.TO_PUBLISH),
            ],
        )
        Schedule(self, every_minutes=EVERY_MINUTES)
