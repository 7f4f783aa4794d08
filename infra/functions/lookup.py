"""lookup: asks an external directory for groups, from outside the private network, which has no way out."""

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Function
from infra.building_blocks.operations import NOTHING_HAPPENED, counted

NO_DIRECTORY = "none"


class Lookup(Construct):
    """The function that speaks to the directory; it has no right to anything of ours."""

    def __init__(self, scope: Construct, name: str, *, base: Base) -> None:
        super().__init__(scope, name)
        settings = base.deployment.profile.lookup
        self.function = Function(
            self,
            "lookup",
            base=base,
            compute=settings.compute,
            synchronous=True,
            environment={
                "DIRECTORY_URL": base.deployment.directory or NO_DIRECTORY,
                "DIRECTORY_SECONDS": str(settings.directory_seconds),
            },
            grants=[],
            reaches=[],
        )
        base.operations.alarm(
            self,
            "unavailable",
            metric=counted(
                base.deployment.metrics,
                "DirectoryUnavailable",
                {"service": "lookup"},
                minutes=5,
                statistic="Maximum",
            ),
            above=0,
            times=3,
            no_data=NOTHING_HAPPENED,
            means="The directory of groups has not answered for a quarter of an hour: groups are shown as they were.",
        )
