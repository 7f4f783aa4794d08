"""recount: from replay-events to a generation of samples in PostgreSQL."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.consumer import ConsumerFunction, HoldingProfile
from infra.stores.cache import BATCHES
from infra.stores.database import CONNECT_SECONDS
from sluice.core.consumers import DEAD_LETTERS, RECOUNT
from sluice.edge.settings import RecountSettings


@dataclass(frozen=True, kw_only=True)
class RecountProfile(HoldingProfile):
    """The consumer that counts replayed events, and how long it waits for the database."""

    transaction_seconds: int
    """How long one batch may take before its connection is cut."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # The rows, and what covers the dead letters.
        self.require_time("recount", 2 * (self.transaction_seconds + CONNECT_SECONDS))


class Recount(ConsumerFunction):
    """The function that counts replayed events into a generation, and the event source that feeds it."""

    def __init__(self, scope: Construct, base: Base, settings: RecountProfile) -> None:
        super().__init__(
            scope,
            RECOUNT,
            base,
            settings,
            # A replay waits for every one of its events. None is given up: their replay is cancelled instead.
            failures=None,
            reads=RecountSettings,
            uses=[
                base.stream.produce(DEAD_LETTERS),
                base.database.access(RECOUNT.name),
                base.cache.access(RECOUNT.name, BATCHES),
            ],
        )
