"""What every function of a deployment stands on."""

from dataclasses import dataclass

from infra.building_blocks.layers import Layers
from infra.building_blocks.operations import Operations
from infra.network import Network
from infra.settings import Deployment


@dataclass(frozen=True, slots=True)
class Base:
    """The same four for all of them; what else a function needs is its own."""

    deployment: Deployment
    operations: Operations
    network: Network
    layers: Layers
