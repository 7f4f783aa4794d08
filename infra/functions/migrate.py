"""migrate: the database's schema, brought up to date before anything that uses it is."""

from collections.abc import Sequence

from aws_cdk import Duration, triggers
from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function, Reach
from infra.network import HTTPS_PORT
from infra.stores.database import PORT as DATABASE_PORT
from infra.stores.database import Database


class Migrate(Construct):
    """The function that runs migrations, once per deployment and before `dependents` change."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        base: Base,
        database: Database,
        dependents: Sequence[Construct],
    ) -> None:
        super().__init__(scope, name)
        compute = base.deployment.profile.migrate
        self.function = Function(
            self,
            "migrate",
            base=base,
            compute=compute,
            # A deployment waits for it, and fails with it.
            synchronous=True,
            further_layers=[base.layers.database],
            environment={
                **database.address,
                "DATABASE_SECRET_ARN": database.administrator_secret_arn,
                "DATABASE_AUTH": "secret",
            },
            grants=[database.may_administer()],
            reaches=[Reach(database.security_group, DATABASE_PORT), Reach(base.network.secrets, HTTPS_PORT)],
        )
        triggers.Trigger(
            self,
            "Trigger",
            handler=self.function,
            timeout=Duration.seconds(compute.timeout_seconds),
            # The rules that let it reach the database are resources of their own, and may come later than the function.
            execute_after=self.function.security_groups,
            execute_before=list(dependents),
        )
