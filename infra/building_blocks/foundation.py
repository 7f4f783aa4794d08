"""What every store of a deployment is built on."""

from dataclasses import dataclass

from aws_cdk import aws_kms as kms

from infra.building_blocks.operations import Operations
from infra.deployment import Deployment
from infra.network import Network


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The same four for all of them."""

    deployment: Deployment
    operations: Operations
    network: Network
    key: kms.IKey
