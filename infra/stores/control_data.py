"""Published control data: documents in S3 and in Valkey, which functions read in place of the database."""

from constructs import Construct, DependencyGroup

from infra.building_blocks.access import Access
from infra.network import Network
from infra.stores.buckets import Bucket
from sluice.edge.published import PREFIX


class ControlData(Construct):
    """The bucket of control data, and who reads and writes it."""

    def __init__(self, scope: Construct, bucket: Bucket, network: Network) -> None:
        super().__init__(scope, "ControlData")
        self._bucket = bucket
        self._network = network
        self.publications = DependencyGroup()
        """What publishes for the first time. Functions that read what is published are deployed after it."""

    def read(self) -> Access:
        """Let a function read what is published, once something is."""
        return self._access(writes=(), after=[self.publications])

    def publish(self) -> Access:
        """Let a function publish."""
        return self._access(writes=[PREFIX], after=[])

    def _access(self, *, writes: list[str] | tuple[()], after: list[DependencyGroup]) -> Access:
        found = self._bucket.access(self._network.s3, reads=[PREFIX], writes=writes)
        return Access(grants=found.grants, facts=found.facts, reaches=found.reaches, after=after)
