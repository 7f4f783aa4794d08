"""Published control data: documents in S3 and in Valkey, which functions read in place of the database."""

from dataclasses import dataclass, replace

from constructs import Construct, IDependable

from infra.building_blocks.access import Access
from infra.network import Network
from infra.stores.buckets import Bucket
from sluice.edge.published import PREFIX
from sluice.edge.settings import RuleSettings


@dataclass(frozen=True)
class Rules:
    """How often a process that judges looks for newer rules."""

    rule_valkey_seconds: float
    rule_s3_seconds: int


class ControlData(Construct):
    """The bucket of control data, and who reads and writes it."""

    def __init__(self, scope: Construct, bucket: Bucket, network: Network, *, migrations: IDependable) -> None:
        super().__init__(scope, "ControlData")
        self._bucket = bucket
        self._network = network
        self._migrations = migrations

    def read(self) -> Access:
        """Let a function read what is published. migrate has published by then."""
        return replace(self._bucket.access(self._network.s3, reads=[PREFIX]), after=[self._migrations])

    def read_rules(self, rules: Rules) -> Access:
        """Let a function read what is published, and tell it how often to look for newer rules."""
        return replace(self.read(), reads=[RuleSettings], facts={**self.read().facts, **vars(rules)})

    def remember(self, folder: str) -> Access:
        """Let a function outside the private network keep notes of its own."""
        return self._bucket.access(None, reads=[folder], writes=[folder])

    def publish(self) -> Access:
        """Let a function publish."""
        return self._bucket.access(self._network.s3, reads=[PREFIX], writes=[PREFIX])
