"""Published control data: documents in S3 and in Valkey, which functions read in place of the database."""

from dataclasses import replace

from constructs import Construct, IDependable

from infra.building_blocks.access import Access
from infra.network import Network
from infra.stores.buckets import Bucket
from sluice.edge.published import PREFIX


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

    def remember(self, folder: str) -> Access:
        """Let a function outside the private network keep notes of its own."""
        return self._bucket.access(None, reads=[folder], writes=[folder])

    def publish(self) -> Access:
        """Let a function publish."""
        return self._bucket.access(self._network.s3, reads=[PREFIX], writes=[PREFIX])
