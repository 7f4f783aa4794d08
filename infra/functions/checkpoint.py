"""checkpoint: verifies the audit and signs its newest entry, every few minutes."""

from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.building_blocks.operations import TROUBLE
from infra.building_blocks.schedule import Schedule
from infra.deployment import require
from infra.stores.checkpoints import Lock
from sluice.core.metrics import AUDIT_ALTERED, ENTRIES_UNSIGNED
from sluice.edge.settings import CheckpointSettings

# Three runs. The alarm fires after two such periods.
NOTICE_MINUTES = 15


@dataclass(frozen=True)
class CheckpointProfile:
    """How often the audit is verified and signed, and how long a checkpoint is locked."""

    compute: Compute
    every_minutes: int
    lock: Lock
    statement_seconds: int

    def __post_init__(self) -> None:
        require(self.compute.concurrency == 1, "two runs at once would sign the same entry")
        require(self.every_minutes <= NOTICE_MINUTES // 3, "a run may be missed before an alarm is raised")
        require(
            2 * self.statement_seconds < self.compute.timeout_seconds,
            "checkpoint must have time to sign after a slow answer of the database",
        )


class Checkpoint(Function):
    """The only function that may sign, and its schedule."""

    def __init__(self, scope: Construct, base: Base, settings: CheckpointProfile) -> None:
        super().__init__(
            scope,
            "checkpoint",
            base,
            settings,
            reads=CheckpointSettings,
            facts={"checkpoint_lock_days": settings.lock.days},
            uses=[
                base.database.access("checkpoint"),
                base.checkpoints.signing(base.network.s3, base.network.kms),
            ],
        )
        Schedule(self, every_minutes=settings.every_minutes)
        self.alarm(
            "altered",
            self.own(AUDIT_ALTERED, minutes=5),
            means="Someone altered the audit or its checkpoints, or the database was restored to an older state."
            " Nothing is signed. The function's log names the entry.",
        )
        self.alarm(
            "unsigned",
            self.own(ENTRIES_UNSIGNED, minutes=NOTICE_MINUTES, statistic="Maximum"),
            times=2,
            # A run that finds something altered, or that reaches no store, writes no value.
            no_data=TROUBLE,
            means="For half an hour no checkpoint covers the newest entries of the audit. The function's log says why.",
        )
