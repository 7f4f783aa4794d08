"""lookup: asks an external directory for groups, from outside the private network, which has no way out."""

from constructs import Construct

from infra.function import Function, metrics_of
from infra.layers import Layers
from infra.operations import NOTHING_HAPPENED, Operations, counted
from infra.settings import Deployment

NO_DIRECTORY = "none"


class Lookup(Construct):
    """The function that speaks to the directory; it has no right to anything of ours."""

    def __init__(
        self, scope: Construct, name: str, *, deployment: Deployment, operations: Operations, layers: Layers
    ) -> None:
        super().__init__(scope, name)
        settings = deployment.profile.lookup
        self.function = Function(
            self,
            "lookup",
            deployment=deployment,
            operations=operations,
            network=None,
            compute=settings.compute,
            synchronous=True,
            layers=[layers.sluice, layers.stream],
            environment={
                "DIRECTORY_URL": deployment.directory or NO_DIRECTORY,
                "DIRECTORY_SECONDS": str(settings.directory_seconds),
            },
            grants=[],
            reaches=[],
        )
        operations.alarm(
            self,
            "unavailable",
            metric=counted(
                metrics_of(deployment), "DirectoryUnavailable", {"service": "lookup"}, minutes=5, statistic="Maximum"
            ),
            above=0,
            times=3,
            no_data=NOTHING_HAPPENED,
            means="The directory of groups has not answered for a quarter of an hour: groups are shown as they were.",
        )
