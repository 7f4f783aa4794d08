"""lookup: asks an external directory for groups. It runs outside the private network, which has no way out."""

import re
from dataclasses import dataclass

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from infra.deployment import require
from sluice.core.metrics import DIRECTORY_UNAVAILABLE
from sluice.edge.settings import DirectorySettings

NO_DIRECTORY = "none"


@dataclass(frozen=True)
class LookupProfile:
    """The function that asks the directory, and how long it waits for it."""

    compute: Compute
    directory_seconds: int

    def __post_init__(self) -> None:
        # The answer may take this long to begin, and as long again to end.
        require(
            2 * self.directory_seconds < self.compute.timeout_seconds,
            "lookup must outlast a directory that does not answer",
        )


class Lookup(Function):
    """The function that calls the directory. It may use no other resource of the deployment."""

    def __init__(self, scope: Construct, base: Base, settings: LookupProfile, *, directory: str | None) -> None:
        require(
            directory is None or re.fullmatch(r"https://[\w.-]+(:\d+)?(/[\w./-]*)?", directory) is not None,
            f"directory {directory!r} must be an https address without a query",
        )
        super().__init__(
            scope,
            "lookup",
            base,
            settings,
            synchronous=True,
            reads=DirectorySettings,
            # Without a directory there are no groups.
            facts={"directory_url": directory or NO_DIRECTORY},
        )
        self.alarm(
            "unavailable",
            self.own(DIRECTORY_UNAVAILABLE, minutes=5, statistic="Maximum"),
            times=3,
            means="The directory of groups has not answered for 15 minutes. query shows the last known groups.",
        )
