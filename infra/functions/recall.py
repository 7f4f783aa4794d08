"""recall: reads rollups back from files for query."""

from constructs import Construct

from infra.building_blocks.base import Base
from infra.building_blocks.function import Compute, Function
from sluice.edge.settings import RecallSettings


class Recall(Function):
    """The function that reads files. It needs nothing in the private network, and stays outside."""

    def __init__(self, scope: Construct, base: Base, compute: Compute) -> None:
        super().__init__(
            scope,
            "recall",
            base,
            compute,
            # query waits for it.
            synchronous=True,
            reads=RecallSettings,
            uses=[base.lake.buckets.rollups.access(None, reads=["rollups/"])],
            libraries=["parquet"],
        )
