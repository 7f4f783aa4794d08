"""One deployment: which stage it is, where, and what its resources are called."""

import re
from dataclasses import dataclass

HOUR = 3600
DAY = 24 * HOUR
GIB = 1024**3


def require(condition: bool, message: str) -> None:
    """Refuse settings that could not work."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Deployment:
    """One deployed Sluice: a stage in a region, and what its profile says about everything that keeps something."""

    stage: str
    region: str
    log_days: int
    keeps_data: bool
    """Whether deleting the stacks leaves the data behind, and deletion itself is guarded."""

    def __post_init__(self) -> None:
        # The stage is part of API keys, of SQL names and of resource names: what all of them allow.
        require(
            re.fullmatch(r"[a-z][a-z0-9]{0,11}", self.stage) is not None,
            f"stage {self.stage!r} must be 1 to 12 lower-case letters and digits and start with a letter",
        )
        require(
            re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region) is not None,
            f"{self.region!r} is not the name of an AWS region",
        )

    def named(self, what: str) -> str:
        """Return the name a resource of this stage has."""
        return f"sluice-{self.stage}-{what}"

    @property
    def metrics(self) -> str:
        """Where a stage's own metrics are: stages of one account must not answer for each other."""
        return f"Sluice/{self.stage}"
