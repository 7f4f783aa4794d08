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
    """One deployed Sluice: a stage in a region, and whether its stores keep data when they are deleted."""

    stage: str
    region: str
    log_days: int
    keeps_data: bool
    """Whether the data stays when the stacks are deleted."""
    first: bool = False
    """Whether this is the stage's first deployment: what protects from deletion would also keep a failed creation."""
    reserves: bool = True
    """Whether functions reserve their concurrency, which a new account has too little of."""

    def __post_init__(self) -> None:
        # The stage is part of API keys, SQL names and resource names, and must be valid in all of them.
        require(
            re.fullmatch(r"[a-z][a-z0-9]{0,11}", self.stage) is not None,
            f"stage {self.stage!r} must be 1 to 12 lower-case letters and digits and start with a letter",
        )
        require(
            re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region) is not None,
            f"{self.region!r} is not the name of an AWS region",
        )
        require(
            self.reserves or not self.keeps_data,
            "a stage that keeps its data needs RESERVE: connections to its database are counted on it",
        )

    @property
    def protected(self) -> bool:
        """Whether AWS refuses to delete the stacks and the database."""
        return self.keeps_data and not self.first

    def named(self, what: str) -> str:
        """Return the name a resource of this stage has."""
        return f"sluice-{self.stage}-{what}"

    @property
    def metrics(self) -> str:
        """The namespace of a stage's own metrics: stages of one account must not mix theirs."""
        return f"Sluice/{self.stage}"
