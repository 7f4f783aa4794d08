"""migrate: updates the database's schema before the functions that use it."""

from aws_cdk import Duration, triggers
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function


class Migrate(Function):
    """The function that runs migrations, once per deployment and before functions that use the database change."""

    def __init__(self, scope: Construct, base: Base, compute: Compute) -> None:
        super().__init__(
            scope,
            "migrate",
            base,
            compute,
            # The deployment waits for it, and fails if it fails.
            synchronous=True,
            uses=[base.database.ownership(base.network.secrets)],
        )
        run = triggers.Trigger(
            self,
            "Trigger",
            handler=self.resource,
            timeout=Duration.seconds(compute.timeout_seconds),
            # The rules that admit it to the database are separate resources, and may be created after the function.
            execute_after=self.security_groups,
        )
        base.database.migrations.add(run)
