"""migrate: updates the database's schema and publishes control data, before the functions that use both."""

from aws_cdk import Duration, triggers
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.stores import cache as names
from sluice.edge.settings import ControlSettings


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
            reads=ControlSettings,
            uses=[
                base.database.ownership(base.network.secrets),
                base.control_data.publish(),
                base.cache.access("migrate", names.TO_PUBLISH),
            ],
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
